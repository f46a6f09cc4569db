import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort, requireFreePort } from '../../dev/ports.ts'
import { startNpm } from './npm-process.ts'
import { describeWith, RADOSGW } from './system-package.ts'

const shell = promisify(execFile)

let data = ''
let port = 0
let s3Port = 0

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'edge-presigner-dev-'))
  port = await freePort()
  s3Port = await freePort()
})

afterEach(() => rm(data, { recursive: true }))

const startDev = (...more: readonly string[]) =>
  startNpm(
    'run',
    'dev',
    '--',
    '--port',
    `${port}`,
    '--s3-port',
    `${s3Port}`,
    '--data',
    data,
    ...more,
  )

/** A request with any Host, as a page that was rebound to this machine makes it. */
const ask = (
  address: string,
  at: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<readonly [number | undefined, string]> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: address, port: at, path, headers, agent: false }, (answer) => {
      text(answer).then((body) => resolve([answer.statusCode, body]), reject)
    })
    asked.once('error', reject).end()
  })

/** The commands that `npm run dev` printed, as one script. */
function printedCommands(output: string): string {
  const commands = /^# 1\. [\s\S]*?(?=^Ctrl-C)/m.exec(output)?.[0]
  if (commands === undefined) throw new Error(`No commands in: ${output}`)
  return commands
}

function walksThrough(...flags: readonly string[]): void {
  it('prints commands that work, and ends with nothing left', async () => {
    await using dev = startDev(...flags)
    await dev.printed(/Ctrl-C ends/)
    expect(dev.output()).toContain(`Ready: http://localhost:${port}\n`)

    const { stdout } = await shell('sh', ['-euc', printedCommands(dev.output())], {
      timeout: 30_000,
      cwd: data,
    })
    const lines = stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(6)
    expect(lines[0]).toMatch(/^\{"uploadUrl":"http/)
    expect(lines[1]).toMatch(/"name":"hello\.txt","size":20,"mimetype":"text\/plain"/)
    expect(lines[2]).toMatch(/^\{"url":"http/)
    expect(lines[3]).toBe('Hello from the edge')
    expect(lines[4]).toBe(`{"files":[${lines[1]}]}`)
    expect(lines[5]).toBe('204')

    dev.signal('SIGINT')
    expect(await dev.exitCode()).toBe(0)
    await requireFreePort(port, '')
    await requireFreePort(s3Port, '')
    expect(await dev.groupMembers()).toEqual([])
  })
}

describe('npm run dev', () => {
  walksThrough()

  it('keeps its files, its index and its secret over a restart, readable by this user alone', async () => {
    const envFile = join(data, 'worker.env')
    const listed = async () => (await fetch(`http://localhost:${port}/files`)).text()
    const secret = async () => /^SIGNING_SECRETS=.*$/m.exec(await readFile(envFile, 'utf8'))?.[0]
    let before: readonly unknown[] = []
    {
      await using dev = startDev()
      await dev.printed(/Ctrl-C ends/)
      const allButDelete = printedCommands(dev.output()).replace(/^# 8[\s\S]*/m, '')
      await shell('sh', ['-euc', `${allButDelete} rm "$file"`], { timeout: 30_000 })
      before = [await listed(), await secret()]
      expect(before).toEqual([expect.stringContaining('hello.txt'), expect.any(String)])
      dev.signal('SIGTERM')
      expect(await dev.exitCode()).toBe(0)
    }
    await using dev = startDev()
    await dev.printed(/Ctrl-C ends/)
    expect([await listed(), await secret()]).toEqual(before)
    expect((await stat(envFile)).mode & 0o777).toBe(0o600)
    dev.signal('SIGINT')
    expect(await dev.exitCode()).toBe(0)
  })

  it('is open to requests that address localhost, and to nobody else', async () => {
    await using dev = startDev()
    await dev.printed(/Ctrl-C ends/)
    const files = async (headers: Readonly<Record<string, string>>, address = '127.0.0.1') =>
      (await ask(address, port, '/files', headers))[0]
    const Host = `localhost:${port}`
    for (const host of [Host, `127.0.0.1:${port}`, `[::1]:${port}`])
      expect([host, await files({ Host: host })]).toEqual([host, 200])
    expect(await files({ Host }, '::1')).toBe(200)

    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example'])
      for (const path of ['/files', '/', '/healthz', '/cdn-cgi/local/explorer'])
        for (const headers of [{}, { 'MF-Original-URL': `http://localhost:${port}${path}` }])
          expect((await ask('127.0.0.1', port, path, { Host: host, ...headers }))[0]).toBe(403)

    // It would replace the path of the request, too.
    const original = { Host, 'mf-original-url': `http://localhost:${port}/healthz` }
    expect((await ask('127.0.0.1', port, '/nowhere/at/all', original))[0]).toBe(404)

    for (const Origin of ['https://evil.example', 'null', 'http://localhost.evil.example'])
      expect([Origin, await files({ Host, Origin })]).toEqual([Origin, 401])
    for (const Origin of [`http://localhost:${port}`, 'http://localhost:5173'])
      expect([Origin, await files({ Host, Origin })]).toEqual([Origin, 200])
    expect(await files({ Host, Authorization: 'Bearer x' })).toBe(401)

    const created = await fetch(`http://127.0.0.1:${port}/files/a.txt/link`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    })
    expect(await created.text()).toContain(`{"link":"http://localhost:${port}/i/files/a.txt?`)
  })

  it("is closed on wrangler's own port, whatever Host and MF headers say", async () => {
    await using dev = startDev()
    await dev.printed(/Ctrl-C ends/)
    const inner = Number(/Ready on http:\/\/127\.0\.0\.1:(\d+)/.exec(dev.output())?.[1])
    const status = async (path: string, headers: Readonly<Record<string, string>>) =>
      (await ask('127.0.0.1', inner, path, headers))[0]
    expect(await status('/healthz', {})).toBe(200)
    for (const Host of [`localhost:${port}`, `localhost:${inner}`, 'evil.example'])
      for (const original of [{}, { 'MF-Original-URL': `http://localhost:${port}/files` }])
        expect([Host, await status('/files', { Host, ...original })]).toEqual([Host, 401])
    for (const Host of ['evil.example', `evil.example:${inner}`])
      expect(await status('/cdn-cgi/local/explorer/api', { Host })).toBe(403)
  })

  it.each(['--port', '--s3-port'])('says which port of %s is in use', async (flag) => {
    const taken = flag === '--port' ? port : s3Port
    const other = createServer().listen(taken, '127.0.0.1')
    await once(other, 'listening')
    try {
      await using dev = startDev()
      expect(await dev.exitCode()).toBe(1)
      expect(dev.output()).toContain(`Port ${taken} is in use`)
      expect(dev.output()).toContain(`${flag} N`)
      expect(await dev.groupMembers()).toEqual([])
    } finally {
      other.close()
      await once(other, 'close')
    }
  })

  it.each([
    [['--cehp'], '--cehp'],
    [['now'], 'now'],
    [['--port', 'http'], '--port'],
    [['--port', '0'], '--port'],
  ])('refuses %j with a usage line', async (flags, named) => {
    await using dev = startNpm('run', 'dev', '--', ...flags)
    expect(await dev.exitCode()).toBe(1)
    expect(dev.output()).toContain(named)
    expect(dev.output()).toContain('usage: npm run dev')
  })

  it('ends when the Worker ends, with nothing left', async () => {
    await using dev = startDev()
    await dev.printed(/Ctrl-C ends/)
    const [wrangler] = await dev.children()
    if (wrangler === undefined) throw new Error('npm run dev has started nothing.')
    process.kill(wrangler, 'SIGKILL')
    expect(await dev.exitCode()).toBe(1)
    await requireFreePort(port, '')
    await requireFreePort(s3Port, '')
  })
})

describeWith([RADOSGW], 'npm run dev -- --ceph', () => walksThrough('--ceph'))
