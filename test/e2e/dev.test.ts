import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort, requireFreePort } from '../../dev/ports.ts'
import { startS3rver } from '../../dev/s3rver.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { sdkClient } from './contract/context.ts'
import { type NpmProcess, startNpm } from './npm-process.ts'
import { describeWith, RADOSGW } from './system-package.ts'

const shell = promisify(execFile)
const ANY: unknown = expect.any(String)

let data = ''
let port = 0
let s3Port = 0

async function newPlace(): Promise<void> {
  data = await mkdtemp(join(tmpdir(), 'edge-presigner-dev-'))
  port = await freePort()
  s3Port = await freePort()
}

/** Each test gets ports and a folder of its own. */
function separately(): void {
  beforeEach(newPlace)
  afterEach(() => rm(data, { recursive: true }))
}

const startNpmDev = (...flags: readonly string[]) =>
  startNpm('run', 'dev', '--', '--port', `${port}`, '--data', data, ...flags)

/** Starts `npm run dev` and waits until it is ready. */
async function startDev(...flags: readonly string[]): Promise<NpmProcess> {
  const dev = startNpmDev('--s3-port', `${s3Port}`, ...flags)
  await dev.printed(/Ctrl-C ends/)
  return dev
}

interface Asked {
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  readonly at?: number
  readonly address?: string
  /** Where the request comes from. 127.0.0.2 stands for another machine: the proxy only knows 127.0.0.1. */
  readonly from?: string
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** A request with any Host, as a page that was rebound to this machine makes it. */
const ask = (path: string, asked: Asked = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { headers = {}, method = 'GET', at = port, address = '127.0.0.1', from } = asked
    const to = { host: address, port: at, ...(from === undefined ? {} : { localAddress: from }) }
    request({ ...to, path, method, headers, agent: false }, (answer) => {
      const { statusCode: status } = answer
      text(answer).then((body) => resolve({ status, headers: answer.headers, body }), reject)
    })
      .once('error', reject)
      .end()
  })

const allowedOrigin = ({ headers }: Answer) => headers['access-control-allow-origin']

/** README's walk-through with curl, for this Worker. */
const walkThrough = () =>
  markedBlock('README.md', 'walk-through').replaceAll('http://localhost:8787', origin())
const origin = () => `http://localhost:${port}`

const runShell = (script: string) =>
  shell('sh', ['-euc', script], { timeout: 30_000, cwd: data }).then(({ stdout }) => stdout)

/** Ends `dev` by Ctrl-C, as its user sees it: npm waits for the end of all, and calls nothing an error. */
async function pressCtrlC(dev: NpmProcess): Promise<void> {
  dev.signal('SIGINT')
  // Some shells run the command in their own place, and end as it does; others die of the signal after it.
  expect([0, 'SIGINT']).toContain(await dev.end())
  expect(await dev.groupMembers()).toEqual([])
  await requireFreePort(port, '')
  await requireFreePort(s3Port, '')
  expect(dev.output()).not.toMatch(/npm err/i)
}

function walksThrough(...flags: readonly string[]): void {
  it("runs README's walk-through, and ends with nothing left", async () => {
    await using dev = await startDev(...flags)
    const [record = '', downloaded, list, ...rest] = (await runShell(walkThrough())).split('\n')
    expect(JSON.parse(record)).toMatchObject({
      name: 'hello.txt',
      size: 20,
      mimetype: 'text/plain',
    })
    expect([downloaded, list, rest]).toEqual(['Hello from the edge', `{"files":[${record}]}`, ['']])
    await pressCtrlC(dev)
  })
}

describe('npm run dev', () => {
  separately()
  walksThrough()

  it('tells the URL once, as the last thing, and then a line for each request', async () => {
    await using dev = await startDev()
    const [, output = ''] = /dev\/main\.ts .*\n\n([\s\S]*)/.exec(dev.output()) ?? []
    expect(output).toBe(
      `Starting the S3 server and the Worker.
Bucket: s3rver at http://127.0.0.1:${s3Port}, with its files in ${data}.
Pages: localhost on any port.

Ready: http://localhost:${port} (Ctrl-C ends it)

`,
    )
    await ask('/files?limit=3', { headers: { Host: `localhost:${port}` } })
    await ask('/u/ept_secret/s3/params?filename=a', { headers: { Host: `localhost:${port}` } })
    await ask('/', { headers: { Host: 'evil.example' } })
    for (const line of [/^GET \/ 403/m, /^GET \/files 200/m, /^GET \/u\/.* 401/m, /^ {2}GET \/u/m])
      await dev.printed(line)
    const lines = dev.output().slice(dev.output().indexOf(output) + output.length)
    expect(
      lines
        .replaceAll(/\d+ ms/g, 'N ms')
        .trimEnd()
        .split('\n')
        .toSorted(),
    ).toEqual([
      '  GET /u/:token/s3/params: unauthenticated: token invalid or expired',
      'GET / 403 N ms',
      'GET /files 200 N ms',
      'GET /u/…/s3/params 401 N ms',
    ])
  })

  it('keeps its files, its index and its secrets over a restart, readable by this user alone', async () => {
    const envFile = join(data, 's3-worker.env')
    const listed = async () => (await fetch(`${origin()}/files`)).text()
    const secrets = async () =>
      (await readFile(envFile, 'utf8')).match(
        /^(?:SIGNING_SECRETS|S3_SECRET_ACCESS_KEY)='.{43,}'$/gm,
      )
    let before: readonly unknown[] = []
    {
      await using dev = await startDev()
      await runShell(walkThrough().replace(/^curl -sS -X DELETE.*$/m, ''))
      before = [await listed(), await secrets()]
      expect(before).toEqual([expect.stringContaining('hello.txt'), [ANY, ANY]])
      await pressCtrlC(dev)
    }
    await using dev = await startDev()
    expect([await listed(), await secrets()]).toEqual(before)
    expect((await stat(envFile)).mode & 0o777).toBe(0o600)
    await pressCtrlC(dev)
  })

  it.each(['--port', '--s3-port'])('says which port of %s is in use', async (flag) => {
    const taken = flag === '--port' ? port : s3Port
    const other = createServer().listen(taken, '127.0.0.1')
    await once(other, 'listening')
    try {
      await using dev = startNpmDev('--s3-port', `${s3Port}`)
      expect(await dev.end()).toBe(1)
      expect(dev.output()).toContain(`Port ${taken} is in use`)
      expect(dev.output()).toContain(`${flag} N`)
      expect(await dev.groupMembers()).toEqual([])
    } finally {
      other.close()
      await once(other, 'close')
    }
  })

  it('refuses what it does not know with a usage line', async () => {
    await using dev = startNpm('run', 'dev', '--', '--cehp')
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toContain('--cehp')
    expect(dev.output()).toContain('usage: npm run dev')
  })

  it('ends when the Worker ends, with nothing left', async () => {
    await using dev = await startDev()
    const [wrangler] = await dev.children()
    if (wrangler === undefined) throw new Error('npm run dev has started nothing.')
    process.kill(wrangler, 'SIGKILL')
    expect(await dev.end()).toBe(1)
    await requireFreePort(port, '')
    await requireFreePort(s3Port, '')
  })

  it.each([
    ['all', (dev: NpmProcess) => dev.signal('SIGTERM')],
    [
      'npm alone, which passes it on to its shell alone',
      (dev: NpmProcess) => dev.signalNpm('SIGTERM'),
    ],
  ])('leaves nothing after a SIGTERM to %s', async (_, send) => {
    await using dev = await startDev()
    send(dev)
    await dev.gone()
    await requireFreePort(port, '')
    await requireFreePort(s3Port, '')
  })
})

describe('npm run dev, while it runs,', () => {
  const app = 'https://app.example.com'
  let dev: NpmProcess

  beforeAll(async () => {
    await newPlace()
    dev = await startDev('--origin', app, '--origin', 'http://app.test:5173')
  })
  afterAll(async () => {
    await dev[Symbol.asyncDispose]()
    await rm(data, { recursive: true })
  })

  it('is open to requests that address localhost, and to nobody else', async () => {
    const files = async (headers: Readonly<Record<string, string>>, address = '127.0.0.1') =>
      (await ask('/files', { headers, address })).status
    const Host = `localhost:${port}`
    for (const host of [Host, `127.0.0.1:${port}`, `[::1]:${port}`])
      expect([host, await files({ Host: host })]).toEqual([host, 200])
    expect(await files({ Host }, '::1')).toBe(200)

    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example'])
      for (const path of ['/files', '/', '/healthz', '/cdn-cgi/local/explorer'])
        for (const headers of [{}, { 'MF-Original-URL': `http://localhost:${port}${path}` }])
          expect((await ask(path, { headers: { Host: host, ...headers } })).status).toBe(403)
    for (const host of ['192.0.2.1', 'host.docker.internal'])
      expect([host, await files({ Host: host })]).toEqual([host, 403])

    // It would replace the path of the request, too.
    const original = { Host, 'mf-original-url': `http://localhost:${port}/healthz` }
    expect((await ask('/nowhere/at/all', { headers: original })).status).toBe(404)
    expect(await files({ Host, Authorization: 'Bearer x' })).toBe(401)

    const created = await fetch(`http://127.0.0.1:${port}/files/a.txt/link`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    })
    expect(await created.text()).toContain(`{"link":"http://localhost:${port}/i/files/a.txt?`)
  })

  it('lets pages of any port of localhost and of --origin in, at the Worker and at the bucket', async () => {
    const Host = `localhost:${port}`
    const seen = async (Origin: string) => {
      const headers = { Host, Origin }
      const asks = { ...headers, 'Access-Control-Request-Method': 'PUT' }
      const method = 'OPTIONS'
      const answers = [
        await ask('/files', { headers }),
        await ask('/files', { method, headers: asks }),
        await ask('/files/a.txt', { method, at: s3Port, headers: asks }),
      ]
      return answers.map((answer) => [answer.status, allowedOrigin(answer)])
    }
    for (const Origin of [
      `http://localhost:${port}`,
      ...['http://localhost', 'http://localhost:5173', 'https://localhost:3000'],
      ...['http://127.0.0.1:8080', 'http://[::1]:8080', 'http://shop.localhost:1355'],
      ...[app, 'http://app.test:5173'],
    ]) {
      const bucket = [200, '*'] // so does s3rver answer whom it lets in
      expect([Origin, await seen(Origin)]).toEqual([Origin, [[200, Origin], [204, Origin], bucket]])
    }
    for (const Origin of [
      ...['https://evil.example', 'null', 'http://localhost.evil.example', 'http://app.test'],
      ...['http://app.example.com', 'https://app.example.com.evil.example', 'http://192.0.2.1'],
      // A file in the bucket may be a page with a script.
      ...[`http://127.0.0.1:${s3Port}`, `http://localhost:${s3Port}`],
    ])
      expect([Origin, await seen(Origin)]).toEqual([
        Origin,
        [
          [401, undefined],
          [401, undefined],
          [403, undefined],
        ],
      ])
    const { headers } = await ask('/files', { headers: { Host, Origin: app } })
    expect(headers.vary).toContain('Origin')
  })

  it("is closed on wrangler's own port, whatever Host and MF headers say", async () => {
    const [wrangler = 0] = await dev.children()
    const { stdout } = await shell('ps', ['-o', 'args=', '-p', `${wrangler}`])
    const inner = Number(/--port (\d+)/.exec(stdout)?.[1])
    const status = async (path: string, headers: Readonly<Record<string, string>>) =>
      (await ask(path, { at: inner, headers })).status
    expect(await status('/healthz', {})).toBe(200)
    for (const Host of [`localhost:${port}`, `localhost:${inner}`, 'evil.example'])
      for (const original of [{}, { 'MF-Original-URL': `http://localhost:${port}/files` }])
        expect([Host, await status('/files', { Host, ...original })]).toEqual([Host, 401])
    for (const Host of ['evil.example', `evil.example:${inner}`])
      expect(await status('/cdn-cgi/local/explorer/api', { Host })).toBe(403)
  })
})

describe('npm run dev -- --host', () => {
  separately()
  it('lets other machines use the embedded bucket, under the address that URLs then have', async () => {
    await using dev = await startDev('--host')
    const [, address = ''] = /^Network: http:\/\/([\d.]+):/m.exec(dev.output()) ?? []
    expect(dev.output()).toContain('Everyone who reaches it can use the bucket.')
    const Host = `${address}:${port}`
    const ports = [`http://${address}:5173`, `http://localhost:5173`]
    for (const Origin of ports) {
      const answer = await ask('/files', { address, from: '127.0.0.2', headers: { Host, Origin } })
      expect([answer.status, allowedOrigin(answer)]).toEqual([200, Origin])
    }
    const page = { Host, Origin: `http://${address}:${s3Port}` } // a file in the bucket
    expect((await ask('/files', { address, headers: page })).status).toBe(401)
    for (const host of ['host.docker.internal:1', 'localhost', Host])
      expect((await ask('/files', { address, headers: { Host: host } })).status).toBe(200)
    for (const host of ['evil.example', '192.0.2.77', `${address}.evil.example`])
      for (const at of [port, s3Port])
        expect((await ask('/files', { address, at, headers: { Host: host } })).status).toBe(403)

    const printed = await runShell(walkThrough().replaceAll('localhost:', `${address}:`))
    expect(printed).toContain('Hello from the edge')
    const { body } = await ask('/files/a.txt/url', { headers: { Host: `localhost:${port}` } })
    expect(body).toContain(`{"url":"http://${address}:${s3Port}/files/a.txt?`)
    await pressCtrlC(dev)
  })
})

describe('npm run dev -- --env-file', () => {
  separately()
  /** A bucket that `npm run dev` doesn't start, and a file that names it. */
  async function realBucket(more: readonly string[] = []) {
    const directory = join(data, 'bucket')
    const corsOrigins = ['http://localhost:5173'] as const
    const bucket = await startS3rver({ port: 0, directory, corsOrigins })
    const file = join(data, 'real.env')
    const { endpoint, region } = bucket
    const table = { endpoint, region, bucket: 'files', addressing: 'path', credentials: 'S3' }
    await writeFile(
      file,
      [
        `BUCKETS='${JSON.stringify({ photos: table })}'`,
        `S3_ACCESS_KEY_ID=${bucket.accessKeyId}`,
        `S3_SECRET_ACCESS_KEY="${bucket.secretAccessKey}"`,
        "SIGNING_SECRETS='k1:0123456789abcdef$0123456789abcdef'",
        'CORS_ORIGINS=\'["https://shop.example"]\'',
        ...more,
      ].join('\n'),
    )
    return { bucket, file }
  }

  it('uses the bucket and the settings of the file, and starts no S3 server', async () => {
    const key = 'ep_app_0123456789abcdef0123456789abcdef0123456789a'
    const digest = createHash('sha256').update(key).digest('hex')
    const scopes = ['files:list', 'files:upload']
    const entry = { id: 'app', sha256: digest, scopes, prefix: 'team$HOME/' }
    const { bucket, file } = await realBucket([`API_KEYS='${JSON.stringify([entry])}'`])
    await using _ = { [Symbol.asyncDispose]: () => bucket.close() }
    await using dev = startNpmDev('--env-file', file, '--host')
    await dev.printed(/Ctrl-C ends/)
    expect(await readdir(data)).not.toContain('s3') // the folder of the embedded one
    expect(dev.output()).toContain(`Bucket: as ${file} says.`)

    const printed = await runShell(walkThrough().replace(/^curl -sS -X DELETE.*$/m, ''))
    const { key: Key } = JSON.parse(printed.split('\n')[0] ?? '')
    const s3 = sdkClient(bucket, bucket)
    const head = await s3.send(new HeadObjectCommand({ Bucket: 'files', Key }))
    s3.destroy()
    expect(head.ContentLength).toBe(20)

    // This machine has a key for the run; others must bring their own, whatever Host they send.
    const Host = `localhost:${port}`
    const status = async (headers: Readonly<Record<string, string>>, from?: string) =>
      (await ask('/files', { headers, ...(from === undefined ? {} : { from }) })).status
    expect(await status({ Host })).toBe(200)
    expect(await status({ Host }, '127.0.0.2')).toBe(401)
    expect(await status({ Host, Authorization: `Bearer ${key}` }, '127.0.0.2')).toBe(200)
    const started = await fetch(`${origin()}/files/upload-url`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: '{"fileName":"a.txt","mimetype":"text/plain"}',
    })
    expect(await started.text()).toContain('"key":"team$HOME/uploads/')
    expect(await status({ Host, Origin: 'https://shop.example' })).toBe(401)
    const asked = { Host, Origin: 'https://shop.example', Authorization: `Bearer ${key}` }
    expect(allowedOrigin(await ask('/files', { headers: asked }))).toBe('https://shop.example')
    await pressCtrlC(dev)
  })

  it('names the settings that are not valid, and ends', async () => {
    const { bucket, file } = await realBucket(['SIGNING_SECRETS=short'])
    await bucket.close()
    await using dev = startNpmDev('--env-file', file)
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toMatch(/The settings are not valid\.\n {2}SIGNING_SECRETS/)
  })

  it('says that there is no such file', async () => {
    await using dev = startNpmDev('--env-file', join(data, 'nothing.env'))
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toContain(`there is no ${join(data, 'nothing.env')}`)
  })
})

describeWith([RADOSGW], 'npm run dev -- --ceph', () => {
  separately()
  walksThrough('--ceph')

  it('lets pages of localhost write to the bucket, on any port', async () => {
    await using _ = await startDev('--ceph', '--origin', 'https://app.example.com')
    const preflight = (Origin: string) =>
      ask('/files/a.txt', {
        method: 'OPTIONS',
        at: s3Port,
        headers: { Origin, 'Access-Control-Request-Method': 'PUT' },
      })
    for (const Origin of [
      ...['http://localhost', 'http://localhost:5173', 'https://localhost:5173'],
      ...['http://127.0.0.1:8080', 'http://[::1]:8080', 'https://app.example.com'],
    ])
      expect([Origin, allowedOrigin(await preflight(Origin))]).toEqual([Origin, Origin])
    for (const Origin of ['https://evil.example', 'http://localhost.evil.example'])
      expect([Origin, allowedOrigin(await preflight(Origin))]).toEqual([Origin, undefined])
  })
})
