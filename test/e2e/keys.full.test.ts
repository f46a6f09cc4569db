import { spawn, spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { type BuiltWorker, startBuiltWorker, UNREACHABLE } from './built-worker.ts'

const PROGRAM = join(import.meta.dirname, '../../cli/keys.ts')

describe('npx edge-presigner keys', () => {
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

  it('prints a key once, and keeps only its digest', async () => {
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
    expect(stdout).toContain(JSON.stringify(JSON.parse(kept)[0]))
    expect(stdout).toContain('npx edge-presigner keys push')
  })

  it('limits a key to some buckets', () => {
    const other = join(directory, 'buckets.json')
    const args = [
      '--id',
      'b',
      '--scopes',
      'files:read',
      '--buckets',
      'photos,docs',
      '--file',
      other,
    ]
    const { stdout } = keys(['create', ...args])
    expect(stdout).toContain('"buckets":["photos","docs"]')
    expect(keys(['list', '--file', other]).stdout).toBe(
      'b\tfiles:read\t(every key)\tin photos,docs\n',
    )
    expect(keys(['check', '--file', other], keyIn(stdout)).stdout).toBe(
      'Yes: b may files:read under "" in photos, docs.\n',
    )
    keys(['rotate', 'b', '--file', other])
    expect(keys(['list', '--file', other]).stdout).toContain('\tin photos,docs\t(two keys')
  })

  it('prints the next commands for the same list of keys', () => {
    const next = (...args: string[]) => {
      const { stdout, stderr } = keys([...args, '--file', "the stage's.json"])
      return (stdout + stderr).match(/(?<=npx edge-presigner keys ).*/g)
    }
    const same = "--file 'the stage'\\''s.json'" // as a shell reads it
    expect(next('push')).toEqual([`create ${same}`])
    expect(next('create', '--id', 'stage')).toContain(
      'create --id ID --scopes SCOPE[,SCOPE] [--prefix PREFIX/] [--buckets ALIAS[,ALIAS]]',
    )
    expect(next('create', '--id', 'stage', '--scopes', 'files:read')).toEqual([`push ${same}`])
    expect(next('rotate', 'stage', '--finish')).toEqual([`rotate stage ${same}`])
    expect(next('rotate', 'stage')).toEqual([`push ${same}`, `rotate stage --finish ${same}`])
    expect(next('rotate', 'stage')).toEqual([`rotate stage --finish ${same}`])
    expect(next('revoke', 'stage')).toEqual([`push ${same} --remove stage`])
  })

  it('lists the keys, and recognizes a key that it created', () => {
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
    ['an id that exists', ['create', '--id', 'ci', '--scopes', 'files:read']],
    ['an id in capitals', ['create', '--id', 'CI', '--scopes', 'files:read']],
    ['no id', ['create', '--scopes', 'files:read']],
    ['no scopes', ['create', '--id', 'x']],
    ['an unknown scope', ['create', '--id', 'x', '--scopes', 'files:write']],
    [
      'a prefix without a slash',
      ['create', '--id', 'x', '--scopes', 'files:read', '--prefix', 'a'],
    ],
    ['an empty bucket', ['create', '--id', 'x', '--scopes', 'files:read', '--buckets', 'photos,']],
    ['an unknown option', ['create', '--id', 'x', '--scopes', 'files:read', '--force']],
    ['an unknown command', ['destroy']],
    ['an extra argument', ['list', 'ci']],
    ['nothing', []],
    ['to revoke a missing key', ['revoke', 'web']],
    ['to revoke without an id', ['revoke']],
    ['to rotate a missing key', ['rotate', 'web']],
    ['to finish a rotation that was not started', ['rotate', 'ci', '--finish']],
    ['to finish and replace at once', ['rotate', 'ci', '--finish', '--now']],
  ])('refuses %s, and does not change the file', async (_, args) => {
    const before = await readFile(file, 'utf8')
    const { status, stdout, stderr } = keys(args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).not.toBe('')
    expect(stderr).not.toContain('    at ')
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it.each(['destroy', 'lst', ''])('answers the unknown command "%s" with its usage', (command) => {
    const { status, stderr } = keys(command === '' ? [] : [command])
    expect(status).toBe(1)
    expect(stderr).toContain('npx edge-presigner keys revoke ID')
    expect(stderr).toContain(command)
  })

  it('shows the usage of all commands or of one with --help, and changes nothing', async () => {
    const before = await readFile(file, 'utf8')
    const all = keys(['--help'])
    expect(all).toMatchObject({ status: 0, stderr: '' })
    for (const command of ['create', 'rotate', 'revoke', 'list', 'check', 'push'])
      expect(all.stdout).toContain(`npx edge-presigner keys ${command}`)
    const one = keys(['create', '--help', '--id', 'x', '--scopes', 'files:read'])
    expect(one).toMatchObject({ status: 0, stderr: '' })
    expect(one.stdout).toContain('npx edge-presigner keys create --id ID')
    expect(one.stdout).toContain('SCOPE is one of files:upload')
    expect(one.stdout).not.toMatch(/rotate|push/)
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it('recognizes both keys of an id during rotation, then only the newer one', async () => {
    const first = keyIn(create('turn', 'files:read', 'team-a/').stdout)
    const { stdout } = keys(['rotate', 'turn'])
    const second = keyIn(stdout)
    expect(second).toMatch(/^ep_turn_/)
    expect(keys(['list']).stdout).toContain('turn\tfiles:read\tteam-a/\t(two keys: in rotation)')
    const known = () => [first, second].map((key) => keys(['check'], key).status)
    expect(known()).toEqual([0, 0])
    expect(keys(['rotate', 'turn'])).toMatchObject({ status: 1, stdout: '' })
    expect(known()).toEqual([0, 0])
    expect(keys(['rotate', 'turn', '--finish']).stdout).toContain('push --remove turn')
    expect(known()).toEqual([1, 0])
  })

  it('replaces every key of an id immediately after a leak', () => {
    const leaked = keyIn(create('leak', 'files:read').stdout)
    const second = keyIn(keys(['rotate', 'leak']).stdout)
    const third = keyIn(keys(['rotate', 'leak', '--now']).stdout)
    expect([leaked, second, third].map((key) => keys(['check'], key).status)).toEqual([1, 1, 0])
  })

  it('revokes one key, and keeps the others', () => {
    const key = keyIn(create('gone', 'files:read').stdout)
    const before = keys(['list']).stdout
    expect(keys(['revoke', 'gone'])).toMatchObject({ status: 0 })
    expect(keys(['check'], key)).toMatchObject({ status: 1 })
    expect(keys(['list']).stdout).toBe(before.replace('gone\tfiles:read\t(every key)\n', ''))
  })

  it('creates keys that the Worker accepts, with their scopes, their prefix and one name', async () => {
    const key = keyIn(create('worker', 'files:read', 'team-b/').stdout)
    const newer = keyIn(keys(['rotate', 'worker']).stdout)
    const worker: BuiltWorker = await startBuiltWorker({
      ...UNREACHABLE,
      variables: { API_KEYS: await readFile(file, 'utf8') },
    })
    try {
      const ask = async (path: string, bearer = key) =>
        (await fetch(worker.origin + path, { headers: { Authorization: `Bearer ${bearer}` } }))
          .status
      expect(await ask('/files/team-b%2Fa.txt/url')).toBe(200)
      expect(await ask('/files/team-b%2Fa.txt/url', newer)).toBe(200)
      expect(await ask('/files/team-a%2Fa.txt/url')).toBe(403)
      expect(await ask('/files', newer)).toBe(403)
    } finally {
      await worker.close()
    }
  })
})

/** The two calls to Cloudflare's API that wrangler makes for secrets, for one Worker. */
class FakeCloudflare {
  /** Null before the Worker exists. */
  secrets: Map<string, string> | null = null
  /** How often secrets were changed. */
  changes = 0
  readonly #server: Server = createServer(async (request, response) => {
    const answer = (status: number, result: unknown, errors: object[] = []) =>
      response
        .writeHead(status, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ success: status === 200, result, errors, messages: [] }))
    const [, call] =
      /^\/accounts\/account\/workers\/scripts\/presigner(\/[a-z-]+)?(?:\?.*)?$/.exec(
        request.url ?? '',
      ) ?? []
    const route = `${request.method} ${call ?? ''}`
    if (route === 'PUT ') {
      this.secrets = new Map()
      return answer(200, {})
    }
    if (this.secrets === null)
      return answer(404, null, [{ code: 10007, message: 'This Worker does not exist.' }])
    if (route === 'GET /secrets')
      return answer(
        200,
        [...this.secrets.keys()].map((name) => ({ name, type: 'secret_text' })),
      )
    if (route !== 'PATCH /secrets-bulk')
      return answer(400, null, [
        { code: 1, message: `unexpected ${request.method} ${request.url}` },
      ])
    const patch = z
      .object({ secrets: z.record(z.string(), z.nullable(z.object({ text: z.string() }))) })
      .parse(JSON.parse(await text(request)))
    for (const [name, secret] of Object.entries(patch.secrets))
      if (secret === null) this.secrets.delete(name)
      else this.secrets.set(name, secret.text)
    this.changes += 1
    return answer(200, {})
  })

  listen = () => new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  close = () => new Promise((resolve) => this.#server.close(resolve))
  get origin(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }
}

describe('npx edge-presigner keys push', () => {
  const cloudflare = new FakeCloudflare()
  const clones: string[] = []
  /** A folder like a clone of the project, with its own list of keys. */
  async function clone(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    clones.push(directory)
    const date = 'compatibility_date = "2026-11-01"'
    await writeFile(join(directory, 'wrangler.toml'), `name = "presigner"\n${date}\n`)
    return directory
  }

  async function copyOf(other: string): Promise<string> {
    const directory = await clone()
    await copyFile(join(other, 'api-keys.json'), join(directory, 'api-keys.json'))
    return directory
  }

  /** A clone that has pushed two keys, the output, and the Worker's state after that. */
  let mine: string
  let push: Awaited<ReturnType<typeof keys>>
  let pushed: ReadonlyMap<string, string>

  beforeAll(async () => {
    await cloudflare.listen()
    cloudflare.secrets = null
    mine = await clone()
    await create(mine, 'ci')
    await create(mine, 'web-app')
    push = await keys(mine, 'push')
    pushed = new Map(cloudflare.secrets ?? [])
  })
  afterAll(async () => {
    await cloudflare.close()
    await Promise.all(clones.map((directory) => rm(directory, { recursive: true })))
  })
  beforeEach(() => {
    cloudflare.secrets = new Map([['SIGNING_SECRETS', 'k1:kept']])
    cloudflare.changes = 0
  })

  /** Runs the program in a clone, with the installed wrangler. */
  async function keys(cwd: string, ...args: string[]) {
    const env = {
      ...process.env,
      CLOUDFLARE_API_BASE_URL: cloudflare.origin,
      CLOUDFLARE_API_TOKEN: 'token',
      CLOUDFLARE_ACCOUNT_ID: 'account',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_LOG_PATH: join(cwd, 'logs'),
    }
    const child = spawn(process.execPath, [PROGRAM, ...args], { cwd, env })
    child.stdin.end()
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise((resolve) => child.on('close', resolve)),
    ])
    return { status, stdout, stderr }
  }
  const create = (cwd: string, id: string) =>
    keys(cwd, 'create', '--id', id, '--scopes', 'files:read')
  /** The command at the end of an output, without `npx edge-presigner keys`. */
  const lastCommand = (output: string): string[] =>
    /npx edge-presigner keys (\S.*)$/.exec(output.trim())?.[1]?.split(' ') ?? []
  /** Runs a command, then the push that it prints. */
  const pushAsPrinted = async (cwd: string, ...args: string[]) =>
    keys(cwd, ...lastCommand((await keys(cwd, ...args)).stdout))
  const DEPLOYED = z.array(z.object({ id: z.string(), sha256: z.unknown() }))
  const deployed = () => DEPLOYED.parse(JSON.parse(cloudflare.secrets?.get('API_KEYS') ?? '[]'))
  const ids = () => deployed().map(({ id }) => id)

  it('sends the list to a Worker, even to one that does not exist yet', () => {
    expect(push).toMatchObject({
      status: 0,
      stdout: 'The Worker has these 2 keys: ci, web-app.\n',
    })
    cloudflare.secrets = new Map(pushed)
    expect(ids()).toEqual(['ci', 'web-app'])
    expect([...pushed.keys()]).toEqual([
      'API_KEYS',
      expect.stringMatching(/^API_KEYS_LIST_ci_[0-9a-f]{8}$/),
      expect.stringMatching(/^API_KEYS_LIST_web-app_[0-9a-f]{8}$/),
    ])
  })

  // @threat key-list-overwritten
  it("refuses a list without a colleague's keys and names them, and accepts their names to drop them", async () => {
    cloudflare.secrets = new Map([...pushed, ['SIGNING_SECRETS', 'k1:kept']])
    const theirs = await clone()
    await create(theirs, 'other')
    const refused = await keys(theirs, 'push')
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toMatch(/push --remove ci:[0-9a-f]{8},web-app:[0-9a-f]{8}$/m)
    expect((await keys(theirs, 'push', '--remove', 'ci')).status).toBe(1)
    expect(cloudflare.changes).toBe(0)
    expect((await keys(theirs, 'push', '--remove', 'ci,web-app')).status).toBe(0)
    expect(ids()).toEqual(['other'])
    expect(cloudflare.secrets.get('SIGNING_SECRETS')).toBe('k1:kept')
    expect(cloudflare.secrets.size).toBe(5)
  })

  // @threat key-list-overwritten
  it('refuses a key that a colleague has rotated in the meantime', async () => {
    cloudflare.secrets = new Map(pushed)
    const theirs = await copyOf(mine)
    const ours = await copyOf(mine)
    await keys(ours, 'rotate', 'ci')
    expect((await keys(ours, 'push')).status).toBe(0)
    expect(deployed()[0]?.sha256).toHaveLength(2)
    expect((await keys(theirs, 'push')).status).toBe(1)
    expect((await pushAsPrinted(ours, 'rotate', 'ci', '--finish')).status).toBe(0)
    expect(deployed()[0]?.sha256).toEqual(expect.any(String))
  })

  // @threat key-list-overwritten
  it('refuses to bring back a key that a colleague has revoked, unless named', async () => {
    cloudflare.secrets = new Map(pushed)
    const theirs = await copyOf(mine)
    const ours = await copyOf(mine)
    await keys(ours, 'revoke', 'ci')
    await keys(ours, 'revoke', 'web-app')
    expect((await keys(ours, 'push', '--remove', 'ci,web-app')).status).toBe(0)
    expect((await keys(ours, 'push')).status).toBe(0)
    expect(ids()).toEqual([])
    await create(theirs, 'other')
    const changes = cloudflare.changes
    const refused = await keys(theirs, 'push', '--remove', 'ci', '--restore', 'web-app')
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toMatch(/push --restore ci:[0-9a-f]{8},web-app:[0-9a-f]{8}$/m)
    expect(cloudflare.changes).toBe(changes)
    expect((await keys(theirs, ...lastCommand(refused.stderr))).status).toBe(0)
    expect(ids()).toEqual(['ci', 'web-app', 'other'])
    expect([...cloudflare.secrets.keys()].filter((name) => name.includes('GONE'))).toEqual([])
  })

  // @threat key-list-overwritten
  it('does not remove a key that a colleague has created for the same id', async () => {
    cloudflare.secrets = new Map(pushed)
    const ours = await copyOf(mine)
    await keys(ours, 'rotate', 'ci')
    const theirs = await copyOf(ours)
    const { stdout } = await keys(ours, 'rotate', 'ci', '--finish')
    await keys(ours, 'rotate', 'ci')
    await keys(ours, ...lastCommand(stdout))
    const { changes } = cloudflare
    expect((await pushAsPrinted(theirs, 'rotate', 'ci', '--finish')).status).toBe(1)
    const refused = await keys(theirs, 'push', '--remove', 'ci')
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(cloudflare.changes).toBe(changes)
    expect((await keys(theirs, ...lastCommand(refused.stderr))).status).toBe(0)
    expect(deployed()[0]?.sha256).toEqual(expect.any(String))
  })

  it('forgets removed keys with --replace-all, except those that it removes', async () => {
    cloudflare.secrets = new Map([...pushed, ['API_KEYS_GONE_old_01234567', 'removed']])
    const theirs = await clone()
    await create(theirs, 'other')
    expect((await keys(theirs, 'push', '--replace-all')).status).toBe(0)
    expect([...cloudflare.secrets.keys()].toSorted()).toEqual([
      'API_KEYS',
      expect.stringMatching(/^API_KEYS_GONE_ci_[0-9a-f]{8}$/),
      expect.stringMatching(/^API_KEYS_GONE_web-app_[0-9a-f]{8}$/),
      expect.stringMatching(/^API_KEYS_LIST_other_[0-9a-f]{8}$/),
    ])
  })

  it('refuses a file that it cannot read, whatever the options', async () => {
    cloudflare.secrets = new Map(pushed)
    const theirs = await clone()
    await mkdir(join(theirs, 'api-keys.json'))
    const { status, stderr } = await keys(theirs, 'push', '--replace-all')
    expect({ status, changes: cloudflare.changes }).toEqual({ status: 1, changes: 0 })
    expect(stderr).toContain("api-keys.json can't be read")
  })

  it('refuses to replace a list that it did not set, unless forced', async () => {
    cloudflare.secrets?.set('API_KEYS', '[]')
    const theirs = await clone()
    await create(theirs, 'ci')
    const refused = await keys(theirs, 'push')
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain('npx edge-presigner keys push --replace-all')
    expect(cloudflare.changes).toBe(0)
    expect((await keys(theirs, 'push', '--replace-all')).status).toBe(0)
    expect(ids()).toEqual(['ci'])
    expect([...(cloudflare.secrets ?? [])].map(([name]) => name)).toContainEqual(
      expect.stringMatching(/^API_KEYS_LIST_ci_/),
    )
  })

  it('refuses to run without a file, whatever the options', async () => {
    cloudflare.secrets = new Map(pushed)
    const { status, stderr } = await keys(await clone(), 'push', '--replace-all')
    expect({ status, changes: cloudflare.changes }).toEqual({ status: 1, changes: 0 })
    expect(stderr).toContain('api-keys.json is missing')
  })

  it('refuses a list that is too long for one secret, before any request', async () => {
    const theirs = await clone()
    const entry = { scopes: ['files:read'], sha256: '0'.repeat(64), prefix: `${'p'.repeat(200)}/` }
    const list = Array.from({ length: 20 }, (_, i) => ({ id: `key-${i}`, ...entry }))
    await writeFile(join(theirs, 'api-keys.json'), JSON.stringify(list))
    const { status, stderr } = await keys(theirs, 'push')
    expect({ status, changes: cloudflare.changes }).toEqual({ status: 1, changes: 0 })
    expect(stderr).toContain('Cloudflare accepts 5120')
  })

  it('runs the wrangler of the project in the current folder', async () => {
    const theirs = await clone()
    await create(theirs, 'ci')
    const wrangler = join(theirs, 'node_modules/wrangler')
    await mkdir(join(wrangler, 'bin'), { recursive: true })
    await writeFile(join(wrangler, 'package.json'), '{ "version": "4.156.2" }')
    const program = "console.error('the one of the project'); process.exitCode = 1\n"
    await writeFile(join(wrangler, 'bin/wrangler.js'), program)
    const { status, stderr } = await keys(theirs, 'push')
    expect({ status, changes: cloudflare.changes }).toEqual({ status: 1, changes: 0 })
    expect(stderr).toContain('the one of the project')
    expect(stderr).toContain('npx wrangler login')
  })

  it('refuses a wrangler that is too old for the configuration, and says how to update it', async () => {
    const theirs = await clone()
    await create(theirs, 'ci')
    const wrangler = join(theirs, 'node_modules/wrangler')
    await mkdir(join(wrangler, 'bin'), { recursive: true })
    await writeFile(join(wrangler, 'bin/wrangler.js'), 'process.exitCode = 1\n')
    for (const [version, isOld] of [
      ['4.86.0', true],
      ['3.200.0', true],
      ['5.0.0-beta.1', false],
    ]) {
      await writeFile(join(wrangler, 'package.json'), JSON.stringify({ version }))
      const { status, stderr } = await keys(theirs, 'push')
      expect({ status, changes: cloudflare.changes }).toEqual({ status: 1, changes: 0 })
      const advice = `This project has wrangler ${version}, and needs 4.156 or newer. Run: npm install --save-dev wrangler@latest`
      expect(stderr.includes(advice), stderr).toBe(isOld)
    }
  })

  it('sends the list to the Worker of another configuration, and names it in its advice', async () => {
    const theirs = await clone()
    await create(theirs, 'ci')
    const config = await readFile(join(theirs, 'wrangler.toml'), 'utf8')
    await writeFile(join(theirs, 'other.toml'), config)
    await writeFile(join(theirs, 'wrangler.toml'), 'name = "elsewhere"\n')
    cloudflare.secrets = new Map([['API_KEYS', '[]']])
    const { stderr } = await keys(theirs, 'push', '--config', 'other.toml')
    expect(stderr).toMatch(/npx edge-presigner keys push --config other\.toml --replace-all$/m)
    const sent = await keys(theirs, ...lastCommand(stderr))
    expect(sent, sent.stderr).toMatchObject({ status: 0 })
    expect(ids()).toEqual(['ci'])
  })

  it("shows wrangler's own error", async () => {
    const theirs = await clone()
    await create(theirs, 'ci')
    await writeFile(join(theirs, 'wrangler.toml'), 'name = "elsewhere"\n')
    const { status, stderr } = await keys(theirs, 'push')
    expect(status).toBe(1)
    expect(stderr).toMatch(/could not set the keys|could not list the secrets/)
  })
})
