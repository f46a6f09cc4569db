import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startFront } from '../../cli/front.ts'
import { freePort, requireFreePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { waitUntil } from '../../cli/wait-until.ts'
import { createServerClient } from '../../client/src/server.ts'
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

/** Gives each test its own ports and folder. */
function separately(): void {
  beforeEach(newPlace)
  afterEach(() => rm(data, { recursive: true }))
}

const startNpmDev = (...flags: readonly string[]) =>
  startNpm('run', 'dev', '--', '--port', `${port}`, '--data', data, ...flags)

/** Starts `npm run dev` and waits until it is ready. */
async function startDev(...flags: readonly string[]): Promise<NpmProcess> {
  const dev = startNpmDev('--s3-port', `${s3Port}`, ...flags)
  await dev.printed(/Ctrl-C to stop/)
  return dev
}

interface Asked {
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  readonly at?: number
  readonly address?: string
  /**
   * The sender's address. 127.0.0.2 represents another machine, because the proxy accepts only
   * 127.0.0.1.
   */
  readonly from?: string
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Sends a request with any Host, like a page after DNS rebinding to this machine. */
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

/** Returns the walk-through with curl, for this Worker. */
const walkThrough = () =>
  markedBlock('docs/try.md', 'walk-through').replaceAll('http://localhost:8787', origin())
const origin = () => `http://localhost:${port}`

const runShell = (script: string) =>
  shell('sh', ['-euc', script], { cwd: data }).then(({ stdout }) => stdout)

/** Ends `dev` with Ctrl-C: npm waits until everything has stopped, and reports no error. */
async function pressCtrlC(dev: NpmProcess): Promise<void> {
  dev.signal('SIGINT')
  // Some shells replace themselves with the command and exit with its code. Others end by the
  // signal after it.
  expect([0, 'SIGINT']).toContain(await dev.end())
  expect(await dev.groupMembers()).toEqual([])
  await requireFreePort(port, '')
  await requireFreePort(s3Port, '')
  expect(dev.output()).not.toMatch(/npm err/i)
}

/** Waits until `dev`, which got a signal, and all that it has started end. */
async function expectGone(dev: NpmProcess): Promise<void> {
  await dev.gone()
  await requireFreePort(port, '')
  await requireFreePort(s3Port, '')
}

/** Runs the walk-through with curl, and compares what it prints. */
async function walk(): Promise<void> {
  const [record = '', downloaded, list, ...rest] = (await runShell(walkThrough())).split('\n')
  expect(JSON.parse(record)).toMatchObject({ name: 'hello.txt', size: 20, mimetype: 'text/plain' })
  expect([downloaded, list, rest]).toEqual(['Hello from the edge', `{"files":[${record}]}`, ['']])
}

// A start takes seconds, so these tests share their processes.
describe('npm run dev, started twice,', () => {
  const envFile = () => join(data, 's3-worker.env')
  const listed = async () => (await fetch(`${origin()}/files`)).text()
  const secrets = async () =>
    (await readFile(envFile(), 'utf8')).match(
      /^(?:SIGNING_SECRETS|S3_SECRET_ACCESS_KEY)='.{43,}'$/gm,
    )
  let dev: NpmProcess
  let before: readonly unknown[] = []

  beforeAll(async () => {
    await newPlace()
    dev = await startDev()
  })
  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
    await rm(data, { recursive: true })
  })

  // @threat dev-log-secrets
  it('prints the URL once, at the end, and then one line for each request', async () => {
    const [, output = ''] = /cli\/main\.ts dev .*\n\n([\s\S]*)/.exec(dev.output()) ?? []
    expect(output).toBe(
      `Starting the S3 server and the Worker.
Bucket: s3rver at http://127.0.0.1:${s3Port}. Its files are in ${data}.
Pages: localhost on any port.

Ready: http://localhost:${port} (Ctrl-C to stop)

`,
    )
    await ask('/files?limit=3', { headers: { Host: `localhost:${port}` } })
    await ask('/u/ept_secret/files?limit=3', { headers: { Host: `localhost:${port}` } })
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
      '  GET /u/:token/files: unauthenticated: token malformed',
      '  The Host header does not name this machine.',
      '  unauthenticated: This is not a token or an API key.',
      'GET / 403 N ms',
      'GET /files 200 N ms',
      'GET /u/…/files 401 N ms',
    ])
  })

  it('runs the walk-through with curl', walk)

  it('leaves nothing running after Ctrl-C', async () => {
    await runShell(walkThrough().replace(/^curl -sS -X DELETE.*$/m, ''))
    before = [await listed(), await secrets()]
    expect(before).toEqual([expect.stringContaining('hello.txt'), [ANY, ANY]])
    await pressCtrlC(dev)
  })

  it('keeps its files, its index and its secrets, readable only by this user', async () => {
    dev = await startDev()
    expect([await listed(), await secrets()]).toEqual(before)
    expect((await stat(envFile())).mode & 0o777).toBe(0o600)
  })

  it('ends when the Worker ends, and leaves nothing running', async () => {
    const [wrangler] = await dev.children()
    if (wrangler === undefined) throw new Error('npm run dev has started nothing.')
    process.kill(wrangler, 'SIGKILL')
    expect(await dev.end()).toBe(1)
    await requireFreePort(port, '')
    await requireFreePort(s3Port, '')
  })
})

describe('npm run dev', () => {
  separately()

  it.each(['--port', '--s3-port'])('names the port of %s that is in use', async (flag) => {
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

  it('refuses unknown options with a usage line', async () => {
    await using dev = startNpm('run', 'dev', '--', '--cehp')
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toContain('--cehp')
    expect(dev.output()).toContain('usage: npx edge-presigner dev')
  })
})

describe('the proxy of npm run dev', () => {
  const message = 'No https://s3.test/a?X-Amz-Signature=s1.\n\u001b[2JPOST /files 200'
  it.each<[what: string, status: number, body: Buffer, encoding: string | null, said: string[]]>([
    [
      'JSON',
      400,
      Buffer.from(JSON.stringify({ code: 'c', message })),
      null,
      ['c: No (URL) [2JPOST /files 200'],
    ],
    ['gzip', 413, gzipSync('{"code":"c","message":"m"}'), 'gzip', ['c: m']],
    ['br', 403, brotliCompressSync('{"code":"c","message":"m"}'), 'br', ['c: m']],
    ['XML', 404, Buffer.from('<Error><Code>c</Code><Message>m</Message></Error>'), null, ['c: m']],
    ['a page', 404, Buffer.from('<html>'), null, []],
    ['a cut encoding', 404, gzipSync('{}').subarray(0, 9), 'gzip', []],
    [
      '500, which the log of the Worker explains',
      500,
      Buffer.from('{"code":"c","message":"m"}'),
      null,
      [],
    ],
    ['200', 200, Buffer.from('{"code":"c","message":"m"}'), null, []],
  ])(
    'explains a failure in %s, in one line without URLs',
    async (_, status, body, encoding, said) => {
      const headers = encoding === null ? {} : { 'Content-Encoding': encoding }
      const worker = createHttpServer((__, response) =>
        response.writeHead(status, headers).end(body),
      )
      worker.listen(0, '127.0.0.1')
      await once(worker, 'listening')
      const address = worker.address()
      if (address === null || typeof address === 'string') throw new Error('It has no port.')
      const at = await freePort()
      const lines: string[] = []
      const front = await startFront({
        port: at,
        workerPort: address.port,
        origin: `http://localhost:${at}`,
        callers: { origins: [], loopbackOrigins: true, host: undefined, bucketPort: undefined },
        apiKey: 'key',
        keyForNetwork: false,
        log: (line) => lines.push(line.replace(/ \d+ ms$/, '')),
      })
      await ask('/files', { at, headers: { Host: `localhost:${at}` } })
      await waitUntil(
        'The request is logged',
        async () => lines.some((line) => /^GET/.test(line)),
        290,
      )
      await front.close()
      worker.close()
      expect(lines).toEqual([...said.map((line) => `  ${line}`), `GET /files ${status}`])
    },
  )
})

describe('npm run dev, while it runs,', () => {
  const app = 'https://app.example.com'
  let dev: NpmProcess

  beforeAll(async () => {
    await newPlace()
    dev = await startDev('--origin', app, '--origin', 'http://app.test:5173')
  })
  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
    await rm(data, { recursive: true })
  })

  it('needs no key from the server client', async () => {
    const client = createServerClient({ baseUrl: `http://localhost:${port}` })
    const { key } = await client.upload(Buffer.from('hello'), { fileName: 'server.txt' })
    const { link } = await client.link(key)
    expect(await (await fetch(link)).text()).toBe('hello')
    await client.remove(key)
  })

  // @threat dev-rebinding
  it('accepts only requests that address localhost', async () => {
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

    // It would also replace the path of the request.
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

  // @threat dev-other-page
  it('allows pages of any port of localhost and of --origin, at the Worker and at the bucket', async () => {
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
      const bucket = [200, '*'] // s3rver's response to allowed origins
      expect([Origin, await seen(Origin)]).toEqual([Origin, [[200, Origin], [204, Origin], bucket]])
    }
    for (const Origin of [
      ...['https://evil.example', 'null', 'http://localhost.evil.example', 'http://app.test'],
      ...['http://app.example.com', 'https://app.example.com.evil.example', 'http://192.0.2.1'],
      // A file in the bucket can be a page with a script.
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

  /** Returns the lines from the one for `request` up to it, without the times. */
  async function linesBefore(request: string): Promise<readonly string[]> {
    await dev.printed(new RegExp(`^${request}`, 'm'))
    const lines = dev.output().split('\n')
    const last = lines.findLastIndex((line) => line.startsWith(request))
    return lines.slice(last - 1, last + 1).map((line) => line.replace(/ \d+ ms$/, ''))
  }

  it('says which pages are not let in, and what lets them in', async () => {
    const Host = `localhost:${port}`
    for (const [method, Origin, said] of [
      [
        'OPTIONS',
        'http://shop.test:5180',
        'pages of http://shop.test:5180 are not let in: restart with --origin http://shop.test:5180',
      ],
      [
        'GET',
        `http://127.0.0.1:${s3Port}`,
        `pages in the bucket (http://127.0.0.1:${s3Port}) are not let in`,
      ],
      [
        'GET',
        'null',
        'pages without an origin are not let in, such as a file that a browser opens',
      ],
      [
        'GET',
        'http://a.test/[2J',
        'pages without an origin are not let in, such as a file that a browser opens',
      ],
    ] as const) {
      const path = `/files/${crypto.randomUUID()}`
      await ask(path, { method, headers: { Host, Origin } })
      expect(await linesBefore(`${method} ${path} 401`)).toEqual([
        `  ${method}: ${said}`,
        `${method} ${path} 401`,
      ])
    }
    expect(dev.output()).not.toContain('no credentials')

    const embedded = { 'Sec-Fetch-Site': 'cross-site', Referer: 'http://shop.test:5180/' }
    await ask('/files/embedded', { headers: { Host, ...embedded } })
    expect(await linesBefore('GET /files/embedded 401')).toContain(
      '  GET: pages of http://shop.test:5180 are not let in: restart with --origin http://shop.test:5180',
    )

    await ask('/u/ept_x/s3/params', { headers: { Host, Origin: 'http://shop.test:5180' } })
    expect(await linesBefore('GET /u/…/s3/params 401')).toContain(
      '  unauthenticated: This is not a token or an API key.',
    )
  })

  it('gives the reason of each client error, in the line before the request, without its query', async () => {
    const failing = async (path: string, init: RequestInit = {}, encoding = 'identity') => {
      const headers = { 'Content-Type': 'application/json', 'Accept-Encoding': encoding }
      const { status } = await fetch(`${origin()}${path}`, { ...init, headers })
      const shown = `${init.method ?? 'GET'} ${path.replace(/\?.*/, '')} ${status}`
      return linesBefore(shown)
    }
    const tooLarge = { fileName: 'a.txt', mimetype: 'text/plain', fileSize: 1e15 }
    expect([
      await failing('/files/upload-url', { method: 'POST', body: '{}' }, 'gzip'),
      await failing('/files?limit=none&X-Amz-Signature=secret1'),
      await failing('/files/upload-url', { method: 'POST', body: JSON.stringify(tooLarge) }),
      await failing('/nowhere'),
    ]).toEqual([
      [expect.stringMatching(/^ {2}invalid_request: .*fileName/), 'POST /files/upload-url 400'],
      [expect.stringMatching(/^ {2}invalid_request: .*limit/), 'GET /files 400'],
      [expect.stringMatching(/^ {2}\w+: ./), expect.stringMatching(/^POST .* 4\d\d$/)],
      ['  not_found: There is no such route.', 'GET /nowhere 404'],
    ])
    expect(dev.output()).not.toContain('secret1')
  })

  // @threat dev-rebinding
  it("refuses requests on wrangler's own port, whatever the Host and MF headers", async () => {
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

  it('leaves nothing running after a SIGTERM to all', async () => {
    dev.signal('SIGTERM')
    await expectGone(dev)
  })
})

describe('npm run dev -- --host', () => {
  let dev: NpmProcess

  beforeAll(async () => {
    await newPlace()
    dev = await startDev('--host')
  })
  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
    await rm(data, { recursive: true })
  })

  // @threat dev-rebinding
  it('lets other machines use the embedded bucket, at the address in the URLs', async () => {
    const [, address = ''] = /^Network: http:\/\/([\d.]+):/m.exec(dev.output()) ?? []
    expect(dev.output()).toContain('Everyone who can reach it can use the bucket.')
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
  })

  it('leaves nothing running after a SIGTERM to npm, which passes it on only to its shell', async () => {
    dev.signalNpm('SIGTERM')
    await expectGone(dev)
  })
})

describe('npm run dev -- --env-file', () => {
  separately()
  /** A bucket that `npm run dev` doesn't start, and an env file for it. */
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

  // @threat dev-other-machine
  it('uses the bucket and the settings of the file, and starts no S3 server', async () => {
    const key = 'ep_app_0123456789abcdef0123456789abcdef0123456789a'
    const digest = createHash('sha256').update(key).digest('hex')
    const scopes = ['files:list', 'files:upload']
    const entry = { id: 'app', sha256: digest, scopes, prefix: 'team$HOME/' }
    const { bucket, file } = await realBucket([`API_KEYS='${JSON.stringify([entry])}'`])
    await using _ = { [Symbol.asyncDispose]: () => bucket.close() }
    await using dev = startNpmDev('--env-file', file, '--host')
    await dev.printed(/Ctrl-C to stop/)
    expect(await readdir(data)).not.toContain('s3') // The folder of the embedded bucket.
    expect(dev.output()).toContain(`Bucket: the one in ${file}.`)

    const printed = await runShell(walkThrough().replace(/^curl -sS -X DELETE.*$/m, ''))
    const { key: Key } = JSON.parse(printed.split('\n')[0] ?? '')
    const s3 = sdkClient(bucket, bucket)
    const head = await s3.send(new HeadObjectCommand({ Bucket: 'files', Key }))
    s3.destroy()
    expect(head.ContentLength).toBe(20)

    // This machine has an API key for the run. Other machines must send their own, whatever their
    // Host header.
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

  it('names the invalid settings, and ends', async () => {
    const { bucket, file } = await realBucket([
      'SIGNING_SECRETS=short',
      'S3_SECRET_ACCESS_KEY=',
      'CORS_ORIGNS=["https://a.example"]',
    ])
    await bucket.close()
    await using dev = startNpmDev('--env-file', file)
    expect(await dev.end()).toBe(1)
    const [, output = ''] = /cli\/main\.ts dev .*\n\n([\s\S]*)/.exec(dev.output()) ?? []
    const lines = output.trimEnd().split('\n')
    expect(lines.slice(0, 4).toSorted()).toEqual([
      `  ${file}: S3_SECRET_ACCESS_KEY is missing. Add it to the file.`,
      'Starting the Worker.',
      'The settings are not valid.',
      `Warning: ${file} sets CORS_ORIGNS, which is no setting. Did you mean CORS_ORIGINS?`,
    ])
    expect(lines.slice(4)).toEqual([expect.stringMatching(`^  ${file}: SIGNING_SECRETS`)])
  })

  it('reports a missing file', async () => {
    await using dev = startNpmDev('--env-file', join(data, 'nothing.env'))
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toContain(`${join(data, 'nothing.env')} is missing`)
  })
})

describe('npm run dev -- --vars', () => {
  separately()

  it('sends webhooks through a local queue, prints each attempt, and accepts notifications', async () => {
    const events = new Map<string, number>()
    const endpoint = createHttpServer((incoming, outgoing) => {
      const id = String(incoming.headers['webhook-id'])
      events.set(id, (events.get(id) ?? 0) + 1)
      incoming
        .resume()
        .once('end', () => outgoing.writeHead(events.get(id) === 1 ? 500 : 204).end())
    }).listen(0, '127.0.0.1')
    await once(endpoint, 'listening')
    await using _ = { [Symbol.asyncDispose]: async () => void endpoint.close() }
    const address = endpoint.address()
    const host = `localhost:${typeof address === 'object' ? address?.port : ''}`
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
    const notificationSecret = 'n'.repeat(32)
    const file = join(data, 'events.env')
    await writeFile(
      file,
      `WEBHOOKS='${JSON.stringify([{ url: `http://${host}/hooks`, private: true, secret }])}'
NOTIFICATION_SECRETS=${notificationSecret}
`,
    )
    await using dev = await startDev('--all', '--vars', file)
    expect(await (await fetch(`${origin()}/healthz`)).json()).not.toHaveProperty('warnings')
    const client = createServerClient({ baseUrl: origin() })
    const { key } = await client.upload(Buffer.from('hello'), { fileName: 'a.txt' })
    await dev.printed(new RegExp(`webhook not delivered: ${host}: status 500, again in 1\\d s`))
    const notification = await fetch(`${origin()}/notifications`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${notificationSecret}`,
        'Content-Type': 'application/json',
      },
      body: '{"Records":[]}',
    })
    expect(notification.status).toBe(200)
    await dev.printed(new RegExp(`^webhook file.recorded ${host} 204$`, 'm'))
    expect(dev.output()).toContain(`\nwebhook file.recorded ${host} 500\n`)
    expect([...events.values()]).toEqual([2])
    expect(await readdir(data)).toContain('s3') // The embedded bucket has the file.
    await client.remove(key)
    await pressCtrlC(dev)
  })

  it('refuses a file with a bucket, which would have no effect', async () => {
    const file = join(data, 'bucket.env')
    await writeFile(file, 'BUCKETS={}\n')
    await using dev = startNpmDev('--vars', file)
    expect(await dev.end()).toBe(1)
    expect(dev.output()).toContain(`--vars: ${file} sets BUCKETS`)
  })
})

// Its Ceph RGW is the one that `--ceph` starts, not the shared one.
describeWith([RADOSGW], 'npm run dev -- --ceph', () => {
  separately()

  it('runs the walk-through, and lets pages of localhost write to the bucket, on any port', async () => {
    await using dev = await startDev('--ceph', '--origin', 'https://app.example.com')
    await walk()
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
    await pressCtrlC(dev)
  })
})
