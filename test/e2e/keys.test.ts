import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BuiltWorker, startBuiltWorker } from './built-worker.ts'

const PROGRAM = join(import.meta.dirname, '../../dev/keys.ts')

describe('npm run keys', () => {
  let directory: string
  let file: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    file = join(directory, 'api-keys.json')
  })

  afterAll(() => rm(directory, { recursive: true }))

  const keys = (args: readonly string[], input = '') => {
    const options = { cwd: directory, input, encoding: 'utf8' } as const
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], options)
    return { status, stdout, stderr }
  }

  const create = (id: string, scopes: string, prefix = '') =>
    keys(['create', '--id', id, '--scopes', scopes, '--prefix', prefix])

  const keyIn = (stdout: string): string => /\bep_\S+/.exec(stdout)?.[0] ?? ''

  it('prints a key once, and keeps its digest alone', async () => {
    const { status, stdout } = create('ci', 'files:upload,files:read', 'team-a/')
    expect(status).toBe(0)
    const key = keyIn(stdout)
    expect(key).toMatch(/^ep_ci_[A-Za-z0-9_-]{43}$/)
    const kept = await readFile(file, 'utf8')
    expect(kept).not.toContain(key.slice('ep_ci_'.length))
    const entry = {
      id: 'ci',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      scopes: ['files:upload', 'files:read'],
      prefix: 'team-a/',
    }
    expect(JSON.parse(kept)).toEqual([entry])
    expect(stdout).toContain(kept.trim().slice(1, -1))
    expect(stdout).toContain('wrangler secret put API_KEYS')
  })

  it('lists what there is, and knows a key that it made', () => {
    const key = keyIn(create('second', 'files:list').stdout)
    const { stdout } = keys(['list'])
    expect(stdout).toBe('ci\tfiles:upload,files:read\tteam-a/\nsecond\tfiles:list\t(every key)\n')
    expect(keys(['check'], `${key}\n`)).toMatchObject({
      status: 0,
      stdout: 'Yes: second may files:list under "".\n',
    })
    expect(keys(['check'], `${key}x`)).toMatchObject({ status: 1, stdout: '' })
  })

  it.each([
    ['an id that is taken', ['create', '--id', 'ci', '--scopes', 'files:read']],
    ['an id in capitals', ['create', '--id', 'CI', '--scopes', 'files:read']],
    ['no id', ['create', '--scopes', 'files:read']],
    ['no scopes', ['create', '--id', 'x']],
    ['an unknown scope', ['create', '--id', 'x', '--scopes', 'files:write']],
    [
      'a prefix without a slash',
      ['create', '--id', 'x', '--scopes', 'files:read', '--prefix', 'a'],
    ],
    ['an unknown option', ['create', '--id', 'x', '--scopes', 'files:read', '--force']],
    ['an unknown command', ['destroy']],
    ['nothing', []],
  ])('refuses %s, and leaves the file as it is', async (_, args) => {
    const before = await readFile(file, 'utf8')
    const { status, stdout, stderr } = keys(args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).not.toBe('')
    expect(stderr).not.toContain('    at ')
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it('makes keys that the Worker takes, with their scopes and their prefix', async () => {
    const key = keyIn(create('worker', 'files:read', 'team-b/').stdout)
    const worker: BuiltWorker = await startBuiltWorker({
      buckets: {
        files: {
          endpoint: 'http://127.0.0.1:9',
          region: 'us-east-1',
          bucket: 'files',
          addressing: 'path',
          credentials: 'S3',
        },
      },
      accessKeys: { S3: { accessKeyId: 'a', secretAccessKey: 'b' } },
      variables: { API_KEYS: await readFile(file, 'utf8') },
    })
    try {
      const ask = async (path: string) =>
        (await fetch(worker.origin + path, { headers: { Authorization: `Bearer ${key}` } })).status
      expect(await ask('/files/team-b%2Fa.txt/url')).toBe(200)
      expect(await ask('/files/team-a%2Fa.txt/url')).toBe(403)
      expect(await ask('/files')).toBe(403)
    } finally {
      await worker.close()
    }
  })
})
