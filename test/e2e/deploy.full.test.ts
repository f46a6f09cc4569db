import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseEnv, promisify } from 'node:util'
import type { Middleware } from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import { DeleteBucketCorsCommand, GetBucketCorsCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { experimental_readRawConfig } from 'wrangler'
import * as z from 'zod/mini'
import { originAmong } from '../../cli/deploy.ts'
import { digestOf } from '../../cli/keys.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { startBuiltWorker, UNREACHABLE } from './built-worker.ts'
import { sdkClient } from './contract/context.ts'
import { ORIGIN, READER_SECRET, SIGNING_SECRET, type Variables } from './doctor/run.ts'
import { sharedCeph } from './shared.ts'
import { describeWith, RADOSGW } from './system-package.ts'

const ROOT = join(import.meta.dirname, '../..')
const PROGRAM = join(ROOT, 'cli/deploy.ts')
const WRANGLER = join(ROOT, 'node_modules/wrangler')
const TEMPLATE_SECRETS = 'template/.dev.vars.example'
const run = promisify(execFile)

/** A wrangler that records how it is called, and keeps the secrets of a Worker in a file. */
const FAKE_WRANGLER = `
const fs = require('node:fs')
const file = require('node:path').join(__dirname, '../../../cloudflare.json')
const state = JSON.parse(fs.readFileSync(file, 'utf8'))
const args = process.argv.slice(2)
const command = args.slice(0, /^(?:secret|queues)$/.test(args[0]) ? 2 : 1).join(' ')
const input = command === 'secret bulk' ? fs.readFileSync(0, 'utf8') : ''
state.calls.push({ args, input, environment: JSON.stringify(process.env) })
const fail = (text) => {
  process.exitCode = 1
  console.error(text)
}
if (state.fails === command) fail('fake wrangler: no')
else if (command === 'secret list' && state.secrets === null) fail('Worker "my-files" not found.')
else if (command === 'secret list')
  console.log(JSON.stringify(Object.keys(state.secrets).map((name) => ({ name }))))
else if (command === 'secret bulk') {
  state.secrets ??= {}
  for (const [name, value] of Object.entries(JSON.parse(input)))
    if (value === null) delete state.secrets[name]
    else state.secrets[name] = value
} else if (command === 'deploy') {
  const lines = [{ type: 'wrangler-session' }, { type: 'deploy', targets: state.targets }]
  const text = lines.map((line) => JSON.stringify(line) + '\\n').join('')
  fs.appendFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, text)
  console.log('fake wrangler: deployed')
}
fs.writeFileSync(file, JSON.stringify(state))
`

const cloudflare = z.object({
  /** The secrets of the Worker; null before it exists. */
  secrets: z.nullable(z.record(z.string(), z.string())),
  /** The command that fails. */
  fails: z.nullable(z.string()),
  targets: z.array(z.string()),
  calls: z.array(
    z.object({ args: z.array(z.string()), input: z.string(), environment: z.string() }),
  ),
})
type Cloudflare = z.infer<typeof cloudflare>

/** A Worker that is not there for the first requests. */
async function startHealth(missing = 2, page = false) {
  let requests = 0
  const server = createServer(({ url }, response) => {
    requests += url === '/healthz' ? 1 : 0
    if (page && url === '/') response.writeHead(200, { 'Content-Type': 'text/html' }).end()
    else if (requests <= missing)
      response.writeHead(404, { 'Content-Type': 'text/html' }).end('none')
    else response.end(JSON.stringify({ status: 'ok', edgeCache: true, images: true }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** What wrangler 4 asks of Cloudflare's API when it sends secrets and deploys a Worker. */
async function startCloudflareApi(secrets: Map<string, unknown>) {
  let exists = false
  const script = '/accounts/account/workers/scripts/my-files'
  const bulk = z.object({ secrets: z.record(z.string(), z.unknown()) })
  const server = createServer(async (request, response) => {
    const [path] = (request.url ?? '').split('?')
    const body = await text(request)
    const answer = (status: number, result: unknown) =>
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(
        JSON.stringify({
          success: status === 200,
          result,
          errors: status === 200 ? [] : [{ code: 10007, message: 'This Worker does not exist.' }],
          messages: [],
        }),
      )
    if (request.method === 'PUT' && path === script) exists = true
    if (!exists) return answer(404, null)
    if (path === `${script}/secrets-bulk`)
      for (const [name, value] of Object.entries(bulk.parse(JSON.parse(body)).secrets))
        secrets.set(name, value)
    const results: Record<string, unknown> = {
      [`${script}/secrets`]: [...secrets.keys()].map((name) => ({ name, type: 'secret_text' })),
      [`${script}/versions`]: { id: 'v', startup_time_ms: 1, resources: { script: { etag: 'e' } } },
      [`${script}/deployments`]: { id: 'd', deployments: [] },
      [`${script}/settings`]: { tags: [], bindings: [] },
      '/accounts/account/workers/services/my-files': {
        default_environment: {
          environment: 'production',
          script: { last_deployed_from: 'wrangler' },
        },
      },
      '/accounts/account/workers/workers/my-files': {
        subdomain: { enabled: true, previews_enabled: false },
      },
      // Makes a host that never exists: https://my-files.example.invalid:1/.workers.dev
      '/accounts/account/workers/subdomain': { subdomain: 'example.invalid:1/' },
      [`${script}/subdomain`]: { enabled: true, previews_enabled: false },
    }
    return answer(200, results[path ?? ''] ?? {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A folder as `npm create edge-presigner` writes it, in a git repository. */
class Project {
  readonly directory: string
  readonly #secrets: readonly string[]

  constructor(directory: string, secrets: readonly string[]) {
    this.directory = directory
    this.#secrets = secrets
  }

  path = (file: string): string => join(this.directory, file)
  read = (file: string): Promise<string> => readFile(this.path(file), 'utf8')
  write = (file: string, text: string): Promise<void> => writeFile(this.path(file), text)
  files = async (): Promise<string[]> =>
    (await readdir(this.directory)).filter((name) => name !== '.git' && name !== 'node_modules')

  async cloudflare(change: Partial<Cloudflare> = {}): Promise<Cloudflare> {
    const state = cloudflare.parse(JSON.parse(await this.read('cloudflare.json')))
    await this.write('cloudflare.json', JSON.stringify({ ...state, ...change }))
    return state
  }

  /** The arguments of each call of wrangler, without secrets in them or in the environment. */
  async calls(): Promise<string[]> {
    const { calls } = await this.cloudflare()
    const secrets = [...this.#secrets, (await this.appVariables()).PRESIGNER_KEY ?? 'no key']
    for (const { args, environment } of calls)
      for (const secret of secrets) expect(args.join(' ') + environment).not.toContain(secret)
    return calls.map(({ args }) => args.join(' '))
  }

  /** What the last `secret bulk` has sent. */
  async sent(): Promise<Record<string, string | null>> {
    const { calls } = await this.cloudflare()
    const text = calls.findLast(({ args }) => args[1] === 'bulk')?.input ?? '{}'
    return z.record(z.string(), z.nullable(z.string())).parse(JSON.parse(text))
  }

  appVariables = async (): Promise<Variables> =>
    existsSync(this.path('.env.presigner')) ? parseEnv(await this.read('.env.presigner')) : {}

  /** Runs deploy without a terminal. Checks that the output has no secret. */
  async deploy(args: readonly string[], environment: Variables = {}) {
    const child = spawn(process.execPath, [PROGRAM, '--', ...args], {
      cwd: this.directory,
      env: { ...process.env, CI: '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString()
      })
    const code = await new Promise((resolve) => child.once('close', resolve))
    const { SIGNING_SECRETS = '' } = await this.cloudflare().then(({ secrets }) => secrets ?? {})
    const { PRESIGNER_KEY = '' } = await this.appVariables()
    for (const secret of [...this.#secrets, SIGNING_SECRETS, PRESIGNER_KEY].filter(Boolean))
      expect(output).not.toContain(secret)
    return { code, output }
  }

  /** Runs deploy on a terminal, and gives one answer to each question. */
  async deployOnTerminal(
    answers: readonly (string | (() => Promise<string>))[],
    args: readonly string[] = [],
    environment: Variables = {},
  ) {
    const answer = async (given: (typeof answers)[number] = 'n') =>
      child.stdin.write(`${typeof given === 'string' ? given : await given()}\n`)
    const command = [process.execPath, PROGRAM, '--', ...args].map((arg) => `'${arg}'`).join(' ')
    const child = spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: this.directory,
      env: { ...process.env, CI: '', ...environment },
    })
    let output = ''
    let asked = 0
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString()
      const questions = output.split('[y/N] ').length - 1
      for (; asked < questions; asked += 1) void answer(answers[asked])
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    return { code, output, asked }
  }

  async [Symbol.asyncDispose]() {
    await rm(this.directory, { recursive: true })
  }
}

interface Setup {
  readonly variables?: Variables
  readonly bucket?: object
  readonly targets?: readonly string[]
  readonly toml?: string
  readonly wrangler?: 'fake' | 'real'
}

const BUCKET = { conditionalPut: false, conditionalComplete: false }

async function createProject(server: S3Server, setup: Setup = {}): Promise<Project> {
  const { targets = [], toml = '', wrangler = 'fake' } = setup
  const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const variables = {
    S3_ACCESS_KEY_ID: server.accessKeyId,
    S3_SECRET_ACCESS_KEY: server.secretAccessKey,
    S3_WRITE_ACCESS_KEY_ID: server.writer.accessKeyId,
    S3_WRITE_SECRET_ACCESS_KEY: server.writer.secretAccessKey,
    SIGNING_SECRETS: '',
    ...setup.variables,
  }
  const project = new Project(directory, [
    server.secretAccessKey,
    server.writer.secretAccessKey,
    SIGNING_SECRET,
  ])
  await mkdir(project.path('src'))
  await project.write('src/worker.ts', 'export default { fetch: () => new Response() }\n')
  await project.write('package.json', '{ "name": "my-files", "type": "module" }\n')
  await project.write('.gitignore', 'node_modules/\n.dev.vars\n.env.*\n')
  await project.write('api-keys.json', '[]\n')
  await project.write(
    '.dev.vars',
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const bucket = {
    endpoint: server.endpoint,
    region: server.region,
    bucket: server.bucket,
    addressing: 'path',
    credentials: 'S3',
    uploadCredentials: 'S3_WRITE',
    ...BUCKET,
    ...setup.bucket,
  }
  await project.write(
    'wrangler.toml',
    `name = "my-files"
main = "src/worker.ts"
compatibility_date = "2026-11-01"
${toml}
[[kv_namespaces]]
binding = "FILE_INDEX"
id = "0123456789abcdef0123456789abcdef"
[[ratelimits]]
name = "RATE_LIMITER"
namespace_id = "1"
simple = { limit = 30, period = 10 }
[vars]
CORS_ORIGINS = ["${ORIGIN}"]
[vars.BUCKETS.files]
${Object.entries(bucket)
  .map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`)
  .join('')}`,
  )
  const modules = project.path('node_modules')
  await mkdir(modules)
  if (wrangler === 'real') await symlink(WRANGLER, join(modules, 'wrangler'))
  else {
    await mkdir(join(modules, 'wrangler/bin'), { recursive: true })
    const library = `module.exports = require('${WRANGLER}/wrangler-dist/cli.js')\n`
    await project.write('node_modules/wrangler/index.js', library)
    await project.write('node_modules/wrangler/package.json', '{ "version": "4.156.2" }\n')
    await project.write('node_modules/wrangler/bin/wrangler.js', FAKE_WRANGLER)
  }
  const state: Cloudflare = { secrets: null, fails: null, targets: [...targets], calls: [] }
  await project.write('cloudflare.json', JSON.stringify(state))
  await run('git', ['init', '-q'], { cwd: directory })
  return project
}

/** As AWS S3, and unlike s3rver, refuses the source of a copy that a presigned URL doesn't sign. */
const refuseUnsignedCopies: Middleware = async ({ query, req }, next) => {
  if ('x-amz-copy-source' in req.headers && 'X-Amz-Signature' in query)
    throw new S3Error('AccessDenied', 'There were headers present which were not signed.')
  await next()
}

const WHERE = '--config wrangler.toml'
const LIST = `secret list --format json ${WHERE}`
/** The second list is compared with the first. */
const FIRST_CALLS = [LIST, LIST, `secret bulk ${WHERE}`, `deploy ${WHERE}`]

describe('npx edge-presigner deploy', () => {
  let folder: string
  let server: S3Server
  /** The paths of all requests that change the bucket. */
  const written: string[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    server = await startS3rver(
      { port: 0, directory: folder, corsOrigins: [ORIGIN], secretAccessKey: READER_SECRET },
      refuseUnsignedCopies,
      async ({ method, path }, next) => {
        if (!['GET', 'HEAD', 'OPTIONS'].includes(method)) written.push(path)
        await next()
      },
    )
  })
  afterAll(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  it('asks before doctor, the secrets and wrangler deploy, and prints the key on a terminal', async () => {
    await using health = await startHealth()
    await using project = await createProject(server, { targets: [health.origin] })
    const { code, output, asked } = await project.deployOnTerminal(['y', 'y', 'yes'])
    expect({ code, asked }, output).toEqual({ code: 0, asked: 3 })
    expect(await project.calls()).toEqual(FIRST_CALLS)
    const order = [
      '1. Check the settings and the bucket',
      'Run doctor',
      'Nothing failed.',
      '2. Send the secrets',
      'Send them?',
      'Sent.',
      '3. Deploy the Worker',
      'Run `wrangler deploy`?',
      'fake wrangler: deployed',
      `Waiting for ${health.origin}`,
      '/healthz returns ok',
      'Wrote PRESIGNER_URL and PRESIGNER_KEY to .env.presigner',
      'Commit api-keys.json',
      `npx edge-presigner doctor --fix-cors --url ${health.origin}`,
    ].map((text) => output.indexOf(text))
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(order).not.toContain(-1)
    const { PRESIGNER_URL, PRESIGNER_KEY = 'none' } = await project.appVariables()
    expect(PRESIGNER_URL).toBe(health.origin)
    expect(output).toContain(PRESIGNER_KEY)

    const inCi = await project.deployOnTerminal([], ['--yes', '--skip-doctor'], { CI: 'true' })
    expect(inCi.code, inCi.output).toBe(0)
    expect(inCi.output).toContain('Wrote PRESIGNER_URL and PRESIGNER_KEY')
    expect(inCi.output).not.toContain(PRESIGNER_KEY)
  })

  // @threat secret-printed
  it('deploys without a question and without a secret in its output, and keeps the new secrets', async () => {
    await using health = await startHealth()
    await using project = await createProject(server, { targets: [health.origin] })
    const { code, output } = await project.deploy(['--yes'])
    expect(code, output).toBe(0)
    expect(health.requests()).toBe(4) // the last one is doctor's
    expect(await project.calls()).toEqual(FIRST_CALLS)

    const { PRESIGNER_KEY: key = '' } = await project.appVariables()
    const { SIGNING_SECRETS, API_KEYS, ...sent } = await project.sent()
    expect(key).toMatch(/^ep_app_[\w-]{43}$/)
    expect(SIGNING_SECRETS).toMatch(/^k1:[0-9a-f]{64}$/)
    expect(parseEnv(await project.read('.dev.vars')).SIGNING_SECRETS).toBe(SIGNING_SECRETS)
    expect(JSON.parse(API_KEYS ?? '')).toEqual(JSON.parse(await project.read('api-keys.json')))
    expect(sent).toEqual({
      S3_ACCESS_KEY_ID: server.accessKeyId,
      S3_SECRET_ACCESS_KEY: server.secretAccessKey,
      S3_WRITE_ACCESS_KEY_ID: server.writer.accessKeyId,
      S3_WRITE_SECRET_ACCESS_KEY: server.writer.secretAccessKey,
      [`API_KEYS_LIST_app_${digestOf(key).slice(0, 8)}`]: 'listed',
    })
    const { mode } = await stat(project.path('.env.presigner'))
    expect(mode & 0o777).toBe(0o600)
    expect(await project.files()).toHaveLength(8)
  })

  it('creates a key with which the server of an app creates tokens below users/, and nowhere else', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await project.deploy(['--yes', '--skip-doctor'])
    const { API_KEYS } = await project.sent()
    const { PRESIGNER_KEY } = await project.appVariables()
    const worker = await startBuiltWorker({
      ...UNREACHABLE,
      variables: { API_KEYS: API_KEYS ?? '' },
    })
    try {
      const status = async (prefix: string) => {
        const response = await fetch(`${worker.origin}/tokens`, {
          method: 'POST',
          headers: {
            Authorization: `Bearer ${PRESIGNER_KEY}`,
            'Content-Type': 'application/json',
          },
          body: JSON.stringify({
            scopes: ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create'],
            subject: '7',
            prefix,
            expiresIn: 60,
          }),
        })
        return response.status
      }
      expect([await status('users/7/'), await status('team-a/')]).toEqual([200, 403])
    } finally {
      await worker.close()
    }
  })

  it('uses the same secrets and the same key again, and sends no signing secret to a Worker that has one', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, {
      targets: [health.origin],
      variables: { SIGNING_SECRETS: `k9:${SIGNING_SECRET}` },
    })
    expect((await project.deploy(['--yes', '--skip-doctor'])).code).toBe(0)
    expect((await project.sent()).SIGNING_SECRETS).toBe(`k9:${SIGNING_SECRET}`)
    const files = ['.env.presigner', 'api-keys.json', '.dev.vars']
    const before = await Promise.all(files.map(project.read))
    await chmod(project.path('.env.presigner'), 0o644)

    const { code, output } = await project.deploy(['--yes', '--skip-doctor'])
    expect(code).toBe(0)
    expect(output).toContain('SIGNING_SECRETS stays as it is')
    expect(await project.sent()).not.toHaveProperty('SIGNING_SECRETS')
    expect(await project.sent()).toHaveProperty('API_KEYS')
    expect(await Promise.all(files.map(project.read))).toEqual(before)
    expect((await stat(project.path('.env.presigner'))).mode & 0o777).toBe(0o600)
  })

  it.each([
    ['doctor', 0, [LIST], 'add --skip-doctor'],
    ['the secrets', 1, [LIST], 'Nothing was sent or deployed.'],
    ['wrangler deploy', 2, FIRST_CALLS.slice(0, 3), 'was not deployed'],
  ])(
    'stops when the answer before %s is no, and continues in the next run',
    async (_, yes, calls, said) => {
      await using health = await startHealth(0)
      await using project = await createProject(server, { targets: [health.origin] })
      const files = await project.files()
      const answers = [...Array.from({ length: yes }, () => 'y'), '']
      const { code, output, asked } = await project.deployOnTerminal(answers)
      expect({ code, asked }, output).toEqual({ code: 1, asked: yes + 1 })
      expect(output).toContain(said)
      expect(output).toContain('run `npx edge-presigner deploy` again')
      expect(await project.calls()).toEqual(calls)
      if (yes < 2) expect(await project.files()).toEqual(files)
      const { PRESIGNER_KEY } = await project.appVariables()
      expect((await project.deploy(['--yes', '--skip-doctor'])).code).toBe(0)
      if (yes === 2) expect(await project.appVariables()).toMatchObject({ PRESIGNER_KEY })
    },
  )

  // @threat dead-letter-lost
  it('lets each dead-letter queue keep its messages for 14 days', async () => {
    await using health = await startHealth(0)
    const consumer = (name: string) =>
      `[[queues.consumers]]\nqueue = "${name}"\ndead_letter_queue = "${name}-dead"\n`
    const toml = consumer('jobs') + consumer('notifications')
    await using project = await createProject(server, { targets: [health.origin], toml })
    const dry = await project.deploy(['--dry-run', '--skip-doctor'])
    expect(dry.output).toContain('Then jobs-dead would keep its messages for 14 days.')
    expect((await project.deploy(['--yes', '--skip-doctor'])).output).toContain(
      'jobs-dead keeps its messages for 14 days.',
    )
    const update = (name: string) =>
      `queues update ${name} --message-retention-period-secs=1209600 ${WHERE}`
    const updates = ['jobs-dead', 'notifications-dead'].map(update)
    expect((await project.calls()).slice(-2)).toEqual(updates)

    await project.cloudflare({ fails: 'queues update' })
    const { code, output } = await project.deploy(['--yes', '--skip-doctor'])
    expect(code, output).toBe(0)
    expect(output).toContain('jobs-dead keeps its messages for 24 hours on the free plan.')
  })

  it.each([
    ['secret list', 1, 'npx wrangler login'],
    ['secret bulk', 3, 'wrangler could not set the secrets'],
    ['deploy', 4, 'wrangler deploy failed'],
  ])(
    'stops when wrangler %s fails, and continues with the same key',
    async (fails, count, said) => {
      await using health = await startHealth(0)
      await using project = await createProject(server, { targets: [health.origin] })
      await project.cloudflare({ fails })
      const { code, output } = await project.deploy(['--yes', '--skip-doctor'])
      expect(code).toBe(1)
      expect(output).toContain(said)
      expect(output).toContain('fake wrangler: no')
      expect(output).not.toContain('    at ')
      expect(await project.calls()).toEqual(FIRST_CALLS.slice(0, count))
      const { PRESIGNER_KEY } = await project.appVariables()
      const list = await project.read('api-keys.json')
      if (count > 1) expect((await stat(project.path('.env.presigner'))).mode & 0o777).toBe(0o600)

      await project.cloudflare({ fails: null })
      expect((await project.deploy(['--yes', '--skip-doctor'])).code).toBe(0)
      expect(await project.appVariables()).toMatchObject({ PRESIGNER_URL: health.origin })
      if (count === 1) return
      expect(await project.appVariables()).toMatchObject({ PRESIGNER_KEY })
      expect(await project.read('api-keys.json')).toBe(list)
    },
  )

  it('stops when doctor finds an error, before it sends anything', async () => {
    await using project = await createProject(server, {
      variables: { S3_SECRET_ACCESS_KEY: 'wrong' },
    })
    const files = await project.files()
    const { code, output } = await project.deploy(['--yes'])
    expect(code).toBe(1)
    expect(output).toContain('SignatureDoesNotMatch')
    expect(output).toContain('Nothing was sent or deployed. Fix each "fail" above')
    expect(await project.calls()).toEqual(FIRST_CALLS.slice(0, 1))
    expect(await project.files()).toEqual(files)
  })

  it('reports a Worker that stays away or names no host, after it was deployed', async () => {
    await using health = await startHealth(1_000)
    await using project = await createProject(server, { targets: [health.origin] })
    const wait = ['--yes', '--skip-doctor', '--timeout', '0.1']
    const { code, output } = await project.deploy(wait)
    expect(code).toBe(1)
    expect(output).toContain('this is not the Worker')
    expect(output).toContain('The Worker is deployed, but not healthy.')
    await project.cloudflare({ targets: ['schedule: * * * * *'] })
    const unnamed = await project.deploy(wait)
    expect(unnamed.code).toBe(1)
    expect(unnamed.output).toContain('Add --url URL')
    await using other = await startHealth(0)
    expect((await project.deploy([...wait, '--url', other.origin])).code).toBe(0)
    expect(await project.appVariables()).toMatchObject({ PRESIGNER_URL: other.origin })
  })

  it('sends only secrets that the Worker reads, and checks what it sends', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, {
      targets: [health.origin],
      variables: {
        ADMIN_ACCESS_KEY_ID: 'ADMIN',
        ADMIN_SECRET_ACCESS_KEY: 'admin-secret',
        API_KEYS: '[]',
        CORS_ORIGINS: '["https://local.example.com"]',
        NOTIFICATION_SECRETS: 'n1-0123456789abcdef0123456789abcdef',
        OPEN_ACCESS: 'localhost',
        SOMETHING: 'else',
      },
    })
    const { code, output } = await project.deploy(['--yes'])
    expect(code, output).toBe(0)
    const names = Object.keys(await project.sent()).filter(
      (name) => !/^(?:S3|API_KEYS)_/.test(name),
    )
    expect(names.toSorted()).toEqual(['API_KEYS', 'NOTIFICATION_SECRETS', 'SIGNING_SECRETS'])
    for (const left of [
      'ADMIN_ACCESS_KEY_ID (no bucket uses it)',
      'CORS_ORIGINS (no secret, so set it in wrangler.toml)',
      'OPEN_ACCESS (no secret, so set it in wrangler.toml)',
      'SOMETHING (no setting)',
    ])
      expect(output).toContain(left)
    expect(output).toContain('pass  open-access             OPEN_ACCESS is not set.')
    expect(output).toContain('.dev.vars sets SOMETHING, which is no setting.')
    expect(output).not.toContain('https://local.example.com')
  })

  it('creates no key in CI or with --no-key, nor next to one that can create tokens', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    const quick = ['--yes', '--skip-doctor']
    const inCi = await project.deploy(quick, { CI: 'true' })
    expect(inCi.output).toContain('In CI, deploy creates no API key')
    const without = await project.deploy([...quick, '--no-key'])
    const own = [
      { id: 'web', sha256: 'a'.repeat(64), scopes: ['tokens:create', 'files:read'], prefix: '' },
    ]
    await project.write('api-keys.json', JSON.stringify(own))
    const withOwn = await project.deploy(quick)
    expect(withOwn.output).toContain('npx edge-presigner keys rotate web')
    expect([inCi.code, without.code, withOwn.code]).toEqual([0, 0, 0])
    expect(existsSync(project.path('.env.presigner'))).toBe(false)
    expect(JSON.parse((await project.sent()).API_KEYS ?? '')).toEqual(own)
  })

  it('does not replace a list of keys that the Worker has and the project lacks', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await project.cloudflare({ secrets: { API_KEYS: '[]', API_KEYS_LIST_ci_01234567: 'listed' } })
    const { code, output } = await project.deploy(['--yes', '--skip-doctor'])
    expect(code).toBe(1)
    expect(output).toContain('npx edge-presigner keys push --remove ci:01234567')
    expect(await project.calls()).toEqual(FIRST_CALLS.slice(0, 1))
  })

  it('replaces the empty list of the deploy button only with --replace-all, and creates the key', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await project.cloudflare({ secrets: { API_KEYS: '[]', SIGNING_SECRETS: SIGNING_SECRET } })
    const refused = await project.deploy(['--yes', '--skip-doctor'])
    expect(refused.code).toBe(1)
    expect(refused.output).toContain('\n  npx edge-presigner deploy --replace-all\n')
    expect(existsSync(project.path('.env.presigner'))).toBe(false)

    const { code, output } = await project.deploy(['--yes', '--skip-doctor', '--replace-all'])
    expect(code, output).toBe(0)
    const { PRESIGNER_KEY: key = '' } = await project.appVariables()
    const sent = await project.sent()
    expect(JSON.parse(sent.API_KEYS ?? '')).toMatchObject([{ id: 'app', sha256: digestOf(key) }])
    expect((await project.deploy(['--yes', '--skip-doctor'])).code).toBe(0)
  })

  // @threat secret-printed
  it('refuses to write a secret to a file of others, or to one that git would commit', async () => {
    await using project = await createProject(server)
    const quick = ['--yes', '--skip-doctor']
    const own = 'DATABASE_URL=postgres://localhost\n'
    await project.write('.env.presigner', own)
    const foreign = await project.deploy(quick)
    expect(foreign.output).toContain('deploy did not write it. Name another file with --out')
    expect(await project.read('.env.presigner')).toBe(own)

    const visible = await project.deploy([...quick, '--out', 'app.txt'])
    expect(visible.output).toContain('git does not ignore app.txt')
    await project.write('.gitignore', '.env.*\n')
    const signing = await project.deploy([...quick, '--out', '.env.app'])
    expect(signing.output).toContain('git does not ignore .dev.vars')
    expect([foreign.code, visible.code, signing.code]).toEqual([1, 1, 1])
    expect(parseEnv(await project.read('.dev.vars')).SIGNING_SECRETS).toBe('')
    expect(await project.files()).not.toContain('.env.app')
    const calls = await project.calls()
    expect(new Set(calls)).toEqual(new Set(FIRST_CALLS.slice(0, 1)))
  })

  it('keeps what the Worker has after the deploy button, and adds a key to it', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    const button = Object.keys(parseEnv(await readFile(join(ROOT, TEMPLATE_SECRETS), 'utf8')))
    const secrets = Object.fromEntries(button.map((name) => [name, 'of the button']))
    await project.cloudflare({ secrets })
    const local = await project.read('.dev.vars')
    const { code, output } = await project.deploy(['--yes', '--skip-doctor'])
    expect(code, output).toBe(0)
    expect((await project.cloudflare()).secrets?.SIGNING_SECRETS).toBe('of the button')
    expect(await project.read('.dev.vars')).toBe(local)
    expect((await project.cloudflare()).secrets?.API_KEYS).toContain('"app"')
  })

  it('continues after `keys push --replace-all` of an empty list', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await project.cloudflare({ secrets: { API_KEYS: '[]' } })
    const quick = ['--yes', '--skip-doctor']
    const refused = await project.deploy(quick)
    expect(refused.output).toContain('npx edge-presigner deploy --replace-all')
    await run(process.execPath, [join(ROOT, 'cli/keys.ts'), 'push', '--replace-all'], {
      cwd: project.directory,
    })
    const { code, output } = await project.deploy(quick)
    expect(code, output).toBe(0)
    expect((await project.cloudflare()).secrets?.API_KEYS).toContain('"app"')
  })

  const OTHER_KEYS = `[\n  {"id":"ci","sha256":"${'a'.repeat(64)}","scopes":["files:read"],"prefix":""}\n]\n`
  it.each([
    ['api-keys.json', OTHER_KEYS],
    ['.dev.vars', `SIGNING_SECRETS=k2:${SIGNING_SECRET}\n`],
    ['.env.presigner', 'DATABASE_URL=postgres://localhost\n'],
  ])('does not overwrite %s, which changes during a question', async (file, text) => {
    await using project = await createProject(server)
    const files = await project.files()
    const meanwhile = () => project.write(file, text).then(() => 'y')
    const { code, output } = await project.deployOnTerminal([meanwhile, 'y'], ['--skip-doctor'])
    expect(code, output).toBe(1)
    expect(output).toContain(`${file} has changed in the meantime`)
    expect(await project.read(file)).toBe(text)
    expect(new Set(await project.files())).toEqual(new Set([...files, file]))
    expect(await project.calls()).toEqual([LIST, LIST])
  })

  it('does not overwrite a signing secret that the Worker gets during a question', async () => {
    await using project = await createProject(server)
    const secrets = { SIGNING_SECRETS: 'of a colleague' }
    const meanwhile = () => project.cloudflare({ secrets }).then(() => 'y')
    const { code, output } = await project.deployOnTerminal([meanwhile], ['--skip-doctor'])
    expect(code, output).toBe(1)
    expect(output).toContain("The Worker's secrets have changed in the meantime")
    expect((await project.cloudflare()).secrets).toEqual(secrets)
    expect(parseEnv(await project.read('.dev.vars')).SIGNING_SECRETS).toBe('')
  })

  it('keeps the secrets that the Worker gets if two people deploy at once', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    let other = ''
    const meanwhile = async () => {
      other = (await project.deploy(['--yes', '--skip-doctor'])).output
      return 'y'
    }
    const { code, output } = await project.deployOnTerminal([meanwhile], ['--skip-doctor'])
    expect(other).toContain('Wrote PRESIGNER_URL')
    expect(code, output).toBe(1)
    expect(output).toContain("The Worker's secrets have changed in the meantime")
    const { secrets } = await project.cloudflare()
    expect(parseEnv(await project.read('.dev.vars')).SIGNING_SECRETS).toBe(secrets?.SIGNING_SECRETS)
    expect(secrets?.API_KEYS).toContain(
      digestOf((await project.appVariables()).PRESIGNER_KEY ?? ''),
    )
  })

  it('keeps the lines that the user adds to the file of the app, also on Windows', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await project.deploy(['--yes', '--skip-doctor'])
    const text = await project.read('.env.presigner')
    await project.write('.env.presigner', `${text}DATABASE_URL=one\n`.replaceAll('\n', '\r\n'))
    const before = await project.appVariables()
    expect((await project.deploy(['--yes', '--skip-doctor'])).code).toBe(0)
    expect(await project.appVariables()).toEqual({ ...before, DATABASE_URL: 'one' })
  })

  it('makes a file with a new secret readable only for its user', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    await chmod(project.path('.dev.vars'), 0o644)
    await project.deploy(['--yes', '--skip-doctor'])
    expect(parseEnv(await project.read('.dev.vars')).SIGNING_SECRETS).toMatch(/^k1:/)
    expect((await stat(project.path('.dev.vars'))).mode & 0o777).toBe(0o600)
  })

  it('refuses a file that the repository of another folder would commit', async () => {
    await using project = await createProject(server)
    await using other = await createProject(server)
    const out = other.path('app.txt')
    const { code, output } = await project.deploy(['--yes', '--skip-doctor', '--out', out])
    expect(code).toBe(1)
    expect(output).toContain(`git does not ignore ${out}`)
  })

  it('checks the configuration that wrangler deploys: wrangler.jsonc before wrangler.toml', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    const { rawConfig } = experimental_readRawConfig({ config: project.path('wrangler.toml') })
    await project.write('wrangler.jsonc', `// A comment\n${JSON.stringify(rawConfig)}`)
    await project.write('wrangler.toml', 'name = "old"\n')
    const { code, output } = await project.deploy(['--yes'])
    expect(code, output).toBe(0)
    expect(output).toContain('Settings (wrangler.jsonc')
    expect(await project.calls()).toEqual(
      FIRST_CALLS.map((call) => call.replace('wrangler.toml', 'wrangler.jsonc')),
    )
  })

  it('reads CLOUDFLARE_ENV as wrangler does, and accepts the top level as --env ""', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    const toml = await project.read('wrangler.toml')
    const staging = toml
      .slice(toml.indexOf('[[kv'))
      .replaceAll('[[', '[[env.staging.')
      .replaceAll('[vars', '[env.staging.vars')
    await project.write('wrangler.toml', toml + staging)
    const quick = ['--yes', '--skip-doctor']
    const { code, output } = await project.deploy(quick, { CLOUDFLARE_ENV: 'staging' })
    expect(code, output).toBe(0)
    expect(output).toContain('PRESIGNER_KEY to .env.presigner.staging')
    const top = await project.deploy([...quick, '--env', ''], { CLOUDFLARE_ENV: 'staging' })
    expect(top.code, top.output).toBe(0)
    expect(await project.calls()).toContain('deploy --config wrangler.toml --env ')
    expect(await project.files()).not.toContain('.env.presigner.')
  })

  it('passes the environment and the configuration to doctor and to each wrangler', async () => {
    await using health = await startHealth(0)
    await using project = await createProject(server, { targets: [health.origin] })
    const toml = await project.read('wrangler.toml')
    await rm(project.path('wrangler.toml'))
    const staging = toml
      .slice(toml.indexOf('[[kv'))
      .replaceAll('[[', '[[env.staging.')
      .replaceAll('[vars', '[env.staging.vars')
    await project.write('an other.toml', `${toml}${staging}`)
    const where = ['--config', 'an other.toml', '--env', 'staging']
    const own = ['--keys-file', 'staging-keys.json']
    const { code, output } = await project.deploy(['--yes', ...where, ...own])
    expect(code, output).toBe(0)
    expect(await project.calls()).toEqual(
      FIRST_CALLS.map((call) => call.replace(WHERE, where.join(' '))),
    )
    expect(output).toContain('Warning: .dev.vars is not only for staging.')
    expect(output).toContain(
      `Check the Worker, and the CORS rules of its page: npx edge-presigner doctor --fix-cors --url ${health.origin} --config 'an other.toml' --env staging\n`,
    )
    const { PRESIGNER_KEY = '' } = parseEnv(await project.read('.env.presigner.staging'))
    expect(await project.read('staging-keys.json')).toContain(digestOf(PRESIGNER_KEY))
    expect(await project.read('api-keys.json')).toBe('[]\n')

    await project.write('staging-keys.json', '[]')
    const lost = await project.deploy(['--yes', ...where, ...own, '--no-key'])
    expect(lost.output).toContain(
      "push --file staging-keys.json --env staging --config 'an other.toml' --remove app:",
    )
    const missing = await project.deploy(['--yes', '--config', 'an other.toml', '--env', 'live'])
    expect(missing).toMatchObject({ code: 1, output: '\nan other.toml has no [env.live].\n' })
  })

  it('asks nothing and changes nothing without a terminal, --yes or --dry-run', async () => {
    await using project = await createProject(server)
    const { code, output } = await project.deploy([])
    expect(code).toBe(1)
    expect(output).toContain('Add --yes, or --dry-run.')
    expect(await project.calls()).toEqual([])
  })

  it('builds the Worker with the real wrangler in a dry run, and leaves the project as it is', async () => {
    await using project = await createProject(server, { wrangler: 'real' })
    const files = await project.files()
    const secrets = await project.read('.dev.vars')
    written.length = 0
    const { code, output } = await project.deploy(['--dry-run'])
    expect(code, output).toBe(0)
    expect(written).toEqual([])
    for (const said of [
      'Nothing failed.',
      'A dry run writes nothing to the bucket',
      'To the Worker: S3_ACCESS_KEY_ID, ',
      'SIGNING_SECRETS is sent only if the Worker has none.',
      'Total Upload:',
      '--dry-run: exiting now.',
    ])
      expect(output).toContain(said)
    expect((await project.files()).filter((name) => name !== '.wrangler')).toEqual(files)
    expect([await project.read('.dev.vars'), await project.read('api-keys.json')]).toEqual([
      secrets,
      '[]\n',
    ])

    await project.write('src/worker.ts', 'export default {')
    const broken = await project.deploy(['--dry-run', '--skip-doctor'])
    expect(broken.code).toBe(1)
    expect(broken.output).toContain('wrangler deploy failed')
  })

  it('runs the real wrangler with arguments that it accepts, and reads its output', async () => {
    const secrets = new Map<string, unknown>()
    await using api = await startCloudflareApi(secrets)
    await using project = await createProject(server, { wrangler: 'real' })
    const environment = {
      CLOUDFLARE_API_BASE_URL: api.origin,
      CLOUDFLARE_API_TOKEN: 'token',
      CLOUDFLARE_ACCOUNT_ID: 'account',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_LOG_PATH: project.path('logs'),
    }
    const args = ['--yes', '--skip-doctor', '--timeout', '0.1']
    const { code, output } = await project.deploy(args, environment)
    expect(output).toContain('Waiting for https://my-files.example.invalid:1, up to')
    expect(output).toContain('The Worker is deployed, but not healthy.')
    expect(code).toBe(1)
    expect([...secrets.keys()]).toEqual(
      expect.arrayContaining(['S3_SECRET_ACCESS_KEY', 'SIGNING_SECRETS', 'API_KEYS']),
    )
    const again = await project.deploy(args, environment)
    expect(again.output).toContain('SIGNING_SECRETS stays as it is')
    expect(again.output).toContain('Waiting for https://my-files.example.invalid:1, up to')
  })

  it.each([
    [
      'a custom domain',
      ['https://a.b.workers.dev', 'files.example.com (custom domain)'],
      'https://files.example.com',
    ],
    [
      'a route to a host',
      ['https://a.b.workers.dev', 'files.example.com/* (zone name: example.com)'],
      'https://files.example.com',
    ],
    [
      'no host of links',
      ['img.example.net (custom domain)', 'https://a.b.workers.dev'],
      'https://a.b.workers.dev',
    ],
    ['nothing else', ['example.com/app/*', '*.example.com/*', 'Producer for jobs'], undefined],
  ])('finds the origin of the API: %s', (_, targets, origin) => {
    expect(originAmong(targets, 'img.example.net')).toBe(origin)
  })
})

describeWith([RADOSGW], 'npx edge-presigner deploy, for Ceph RGW,', () => {
  it('writes missing CORS rules, and offers to do it in a dry run', async () => {
    const server = await sharedCeph({ port: 0, directory: '', corsOrigins: [ORIGIN] })
    const s3 = sdkClient(server, server)
    await using health = await startHealth(0)
    await using project = await createProject(server, {
      targets: [health.origin],
      bucket: { uploadCredentials: 'S3' },
    })
    const Bucket = server.bucket
    await s3.send(new DeleteBucketCorsCommand({ Bucket }))
    const dry = await project.deploy(['--dry-run'])
    expect(dry.output).toMatch(/fail {2}cors/)
    expect(dry.output).toContain('Without --dry-run, deploy offers to write the CORS rules.')
    expect(dry.output).toContain('3. Build the Worker')

    const { code, output } = await project.deploy(['--yes'])
    expect(code, output).toBe(0)
    expect(output).toMatch(/pass {2}fix-cors/)
    const { CORSRules } = await s3.send(new GetBucketCorsCommand({ Bucket }))
    expect(CORSRules).toMatchObject([{ AllowedOrigins: [ORIGIN] }])
    s3.destroy()
  })

  it('offers the CORS rules for the page of the new host, and writes them after a yes', async () => {
    const server = await sharedCeph({ port: 0, directory: '', corsOrigins: [ORIGIN] })
    const s3 = sdkClient(server, server)
    const origins = async () => {
      const { CORSRules = [] } = await s3.send(new GetBucketCorsCommand({ Bucket: server.bucket }))
      return CORSRules.flatMap(({ AllowedOrigins = [] }) => AllowedOrigins)
    }
    const worker = await startBuiltWorker({
      ...UNREACHABLE,
      variables: { API_KEYS: '', CORS_ORIGINS: `["${ORIGIN}"]` },
    })
    await using project = await createProject(server, {
      targets: [worker.origin],
      bucket: { uploadCredentials: 'S3' },
    })
    const command = `npx edge-presigner doctor --fix-cors --url ${worker.origin}`
    const refused = await project.deployOnTerminal(['y', 'y', 'y', 'n'])
    expect({ code: refused.code, asked: refused.asked }, refused.output).toEqual({
      code: 0,
      asked: 4,
    })
    expect(refused.output).toContain(`Check the Worker, and the CORS rules of its page: ${command}`)
    expect((await project.appVariables()).PRESIGNER_URL).toBe(worker.origin)
    expect(await origins()).not.toContain(worker.origin)

    const { code, output } = await project.deploy(['--yes'])
    expect(code, output).toBe(0)
    expect(await origins()).toEqual(expect.arrayContaining([ORIGIN, worker.origin]))
    // What the first step has checked is not checked again.
    const [, last = ''] = output.split('\n5. ')
    expect(last).toMatch(/pass {2}cors/)
    expect(last).not.toMatch(/^ {2}\w+ +(?:valid|upload-key|parts) /m)
    expect(output).not.toContain(command)
    await worker.close()
    s3.destroy()
  })
})
