import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
    let before: readonly string[] = []
    {
      await using dev = startDev()
      await dev.printed(/Ctrl-C ends/)
      const allButDelete = printedCommands(dev.output()).replace(/^# 8[\s\S]*/m, '')
      await shell('sh', ['-euc', `${allButDelete} rm "$file"`], { timeout: 30_000 })
      before = [await listed(), await readFile(envFile, 'utf8')]
      expect(before[0]).toContain('hello.txt')
      dev.signal('SIGTERM')
      expect(await dev.exitCode()).toBe(0)
    }
    await using dev = startDev()
    await dev.printed(/Ctrl-C ends/)
    expect([await listed(), await readFile(envFile, 'utf8')]).toEqual(before)
    expect((await stat(envFile)).mode & 0o777).toBe(0o600)
    dev.signal('SIGINT')
    expect(await dev.exitCode()).toBe(0)
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
