import { globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestHarness } from 'wrangler'
import * as z from 'zod/mini'
import { startS3rver } from '../../cli/s3rver.ts'
import { defineSettings } from '../../src/settings/define.ts'
import type { SettingsInput } from '../../src/settings/input.ts'
import { codeBlocks, markedBlock, ROOT, readPage } from './support/markdown.ts'
import { ENTRIES, type Snippets, writeSnippets } from './support/snippets.ts'

const PAGE = 'docs/mount.md'
const SERVER = 'docs/server.md'
const block = (mark: string): string => markedBlock(PAGE, mark)

/** The login, which the page leaves to its readers. */
const LOGIN = `
import type { MiddlewareHandler } from 'hono'

export interface Env {
  S3_ENDPOINT: string
  S3_ACCESS_KEY_ID: string
  S3_SECRET_ACCESS_KEY: string
  S3_WRITE_ACCESS_KEY_ID: string
  S3_WRITE_SECRET_ACCESS_KEY: string
  SIGNING_SECRETS: string
  FILES: KVNamespace
  DB: D1Database
  INDEX_KEYS: string
  IMAGES: ImagesBinding
  RATE_LIMITER: RateLimit
}

export interface Vars {
  user: { id: string } | undefined
}

export const login: MiddlewareHandler<{ Bindings: Env; Variables: Vars }> = async (c, next) => {
  const [, id] = /session=(\\w+)/.exec(c.req.header('Cookie') ?? '') ?? []
  c.set('user', id === undefined ? undefined : { id })
  await next()
}
`

/** What the page leaves to the tables: settings with every member of a kind, and the plugin \`images\`. */
const SETTINGS = `
import { defineSettings } from 'edge-presigner'

interface Env {
  S3_ACCESS_KEY_ID: string
  S3_SECRET_ACCESS_KEY: string
  S3_WRITE_ACCESS_KEY_ID: string
  S3_WRITE_SECRET_ACCESS_KEY: string
  SIGNING_SECRETS: string
}

export const settings = defineSettings((env: Env) => ({
  name: 'media',
  buckets: {
    photos: {
      endpoint: 'https://s3.eu-central-1.amazonaws.com',
      region: 'eu-central-1',
      bucket: 'my-photos',
      addressing: 'virtual',
      credentials: { accessKeyId: env.S3_ACCESS_KEY_ID, secretAccessKey: env.S3_SECRET_ACCESS_KEY },
      uploadCredentials: {
        accessKeyId: env.S3_WRITE_ACCESS_KEY_ID,
        secretAccessKey: env.S3_WRITE_SECRET_ACCESS_KEY,
      },
      maxBytes: 20 * 1024 ** 2,
      allowedTypes: ['image/*'],
    },
  },
  signingSecrets: env.SIGNING_SECRETS,
  corsOrigins: ['https://app.example.com'],
  linkBase: 'https://files.example.com/media',
  linkHostOnly: true,
}))
`
const MEDIA = `
import { createPresigner } from 'edge-presigner'
import { images } from 'edge-presigner/images'
import { links } from 'edge-presigner/links'
import type { Env, Vars } from './login.ts'
import { settings } from './settings.ts'

export const media = createPresigner<Env, Vars>(settings, {
  plugins: [
    links({
      images: images({ binding: (env) => env.IMAGES, sizes: [320, 640, 1280] }),
    }),
  ],
})
`
/** Functions of the reader's own. */
const DATABASE = `
import type { FileEvent } from 'edge-presigner'

export const saveToMyDatabase = async ({ type, file }: FileEvent): Promise<void> =>
  console.log(type, file.bucket, file.key)
export const isInQuarantine = async (key: string): Promise<boolean> => key.endsWith('.exe')
`
/** What the page's blocks for `wrangler.toml` leave out. */
const WRANGLER = `
[[kv_namespaces]]
binding = "FILES"

[[ratelimits]]
name = "RATE_LIMITER"
namespace_id = "8787"
simple = { limit = 1200, period = 60 }
`

/** The page's app, alone and behind common middleware. */
const WORKER = `
import { objectsEntrypoint } from 'edge-presigner/cloudflare'
import { Hono } from 'hono'
import { logger } from 'hono/logger'
import { secureHeaders } from 'hono/secure-headers'
import { createSigner } from 'edge-presigner/signer'
import app, { media, settings } from './mount.ts'

const lines: string[] = []
const apps: Record<string, Hono<any>> = {
  alone: app,
  strict: new Hono().use(secureHeaders()).route('/', app),
  relaxed: new Hono().use(secureHeaders({ crossOriginResourcePolicy: false })).route('/', app),
  logged: new Hono()
    .get('/lines', (c) => c.json(lines))
    .use(logger((line) => lines.push(line)))
    .route('/', app),
  greedy: new Hono()
    .use(async (c, next) => {
      await c.req.json()
      await next()
    })
    .route('/', app),
}
app.get('/link', async (c) =>
  c.json(
    await createSigner((() => ({ ...settings(c.env), linkBase: 'http://host/media' })) as any, {}).link(
      c.req.query('key') ?? '',
    ),
  ),
)
export default {
  fetch: (request: Request, env: any, context: any) =>
    apps[request.headers.get('X-App') ?? 'alone']?.fetch(request, env, context),
}
export class Objects extends objectsEntrypoint(media) {}
`

/** Prints the results of the two files for Node. */
const MAIN = `
import { app } from './node.ts'
import { media, health, url } from './testing.ts'

const body = JSON.stringify({ fileName: 'a.txt', mimetype: 'text/plain' })
const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }
const list = await media.app.request('/files', {}, process.env)
const answers = {
  upload: await (await app.request('/uploads', init)).json(),
  own: (await app.request('/files/users/42/uploads/a.txt')).headers.get('Location'),
  foreign: (await app.request('/files/users/7/uploads/a.txt')).status,
  health: await health.json(),
  list: await list.json(),
  url,
}
console.log(JSON.stringify(answers))
`

/** The part of the AWS SDK that the recipe uses. */
const AWS_SDK = `
declare module '@aws-sdk/credential-providers' {
  interface Identity {
    readonly accessKeyId: string
    readonly secretAccessKey: string
    readonly sessionToken?: string
    readonly expiration?: Date
  }
  export function fromNodeProviderChain(): () => Promise<Identity>
}
`

/** The part of Node's `http` that the page uses. test/docs/recipes.slow.test.ts runs it. */
const NODE_HTTP = readPage('test/support/node-http.d.ts')

/** Signs with what AWS STS answers, as its documentation says. Prints what it was asked, and the URLs. */
const ROLE_MAIN = `
import { createSigner } from 'edge-presigner/signer'
import { settings } from './role-settings.ts'

const asked: string[] = []
globalThis.fetch = async (_url, init) => {
  const body = new URLSearchParams(String(init?.body))
  asked.push([body.get('RoleArn'), body.get('WebIdentityToken')].join())
  const id = body.get('RoleArn')?.split('/')[1]
  const Credentials = {
    AccessKeyId: id, SecretAccessKey: 's', SessionToken: 't', Expiration: Math.floor(Date.now() / 1000) + 600,
  }
  const AssumeRoleWithWebIdentityResult = { Credentials }
  return Response.json({ AssumeRoleWithWebIdentityResponse: { AssumeRoleWithWebIdentityResult } })
}
const signer = createSigner(settings, { SIGNING_SECRETS: 'k1:' + '0'.repeat(32) })
const read = await signer.downloadUrl('a.png')
const write = await signer.uploadUrl({ fileName: 'a.png', mimetype: 'image/png' })
console.log(JSON.stringify({ asked, read: read.url, expiresIn: read.expiresIn, write: write.uploadUrl }))
`
const role = (mark: string): string => markedBlock('docs/recipes/aws-roles.md', mark)

const MARKS = ['mount', 'node-settings', 'options', 'fetch', 'edge', 'testing']
const other = codeBlocks(readPage(PAGE)).filter(
  ({ language, mark }) => language === 'ts' && !MARKS.includes(mark),
)

let snippets: Snippets
beforeAll(() => {
  snippets = writeSnippets({
    'workers/login.ts': LOGIN,
    'workers/mount.ts': block('mount').replaceAll(/^const (?=settings|media)/gm, 'export const '),
    'workers/worker.ts': WORKER,
    'workers/settings.ts': SETTINGS,
    'workers/database.ts': DATABASE,
    'workers/options.ts': block('options'),
    'workers/edge.ts': block('edge'),
    'workers/media.ts': MEDIA,
    // Node's types conflict with those of Workers.
    'node/process.d.ts': 'declare const process: { env: Record<string, string | undefined> }',
    'node/signer.ts': markedBlock(SERVER, 'signer'),
    'node/settings.ts': block('node-settings'),
    'node/aws.d.ts': AWS_SDK,
    'node/instance.ts': role('instance'),
    'node/assume-role.ts': role('sts'),
    'workers/index-admin.ts': markedBlock('docs/import-and-repair.md', 'index-admin'),
    'node/identity-token.ts': "export const identityToken = async () => 'jwt-of-the-server'",
    'node/role-settings.ts': role('sts-settings'),
    'node/role-main.ts': ROLE_MAIN,
    'node/node.ts': markedBlock(SERVER, 'node'),
    'node/fetch.ts': block('fetch'),
    'start/settings.ts': block('node-settings'),
    'start/start.ts': markedBlock('docs/api.md', 'start-library'),
    'node/session.ts': 'export const currentUser = async (_: Request) => ({ id: "ann" })',
    'node/node-http.d.ts': NODE_HTTP,
    'node/testing.ts': block('testing'),
    'node/main.ts': MAIN,
    'other/new-index.ts': "export { memoryFileIndex as newIndex } from 'edge-presigner/testing'",
    ...Object.fromEntries(other.map(({ code }, i) => [`other/${i}.ts`, code])),
  })
})
afterAll(() => snippets.remove())

describe('the code in docs/mount.md', () => {
  it('compiles', async () => expect(await snippets.typeErrors()).toBe(''))

  it('contains the example of README.md', () => {
    const [, section = ''] = readPage('README.md').split('## In your own app')
    const code = codeBlocks(section).find(({ language }) => language === 'ts')?.code ?? 'missing'
    for (const line of code.trim().split('\n')) expect(block('mount')).toContain(line)
  })

  it('fails with a typo', async () => {
    const wrong = writeSnippets({ 'a.ts': SETTINGS.replace('region:', 'regoin:') })
    expect(await wrong.typeErrors()).toContain('regoin')
    wrong.remove()
  })
})

it('the recipe for roles of AWS signs with one role for each purpose', async () => {
  const printed = JSON.parse(await snippets.run('node/role-main.ts', {}))
  const roleOf = (name: string) => `arn:aws:iam::111122223333:role/files-${name},jwt-of-the-server`
  expect(printed).toMatchObject({
    asked: expect.arrayContaining([roleOf('read'), roleOf('write')]),
    read: expect.stringContaining('files-read%2F'),
    write: expect.stringContaining('files-write%2F'),
  })
  expect(printed.expiresIn).toBeLessThanOrEqual(600)
})

describe('the list of', () => {
  /** Returns the names in the first column of the table under a heading. */
  const documented = (heading: string): string[] => {
    const [, section = ''] = readPage(PAGE).split(`\n${heading}\n`)
    const rows = section
      .split(/\n#/, 1)
      .join()
      .matchAll(/^\| `(\w+)(?:\(.*?\))?` \| /gm)
    return [...rows].map(([, name = '']) => name)
  }

  it('settings has exactly the existing members', () => {
    const wrong: unknown = { other: 1 }
    const settings = defineSettings(() => wrong as SettingsInput)
    expect(() => settings({})).toThrow('Known members')
    try {
      settings({})
    } catch (error) {
      const [, names = ''] = /Known members: ([\w, ]+)/.exec(String(error)) ?? []
      expect(documented('## Settings')).toEqual(names.split(', '))
    }
  })

  it('options of plugins has exactly those that each plugin knows', () => {
    const known = globSync('src/plugins/**/index.ts', { cwd: ROOT }).flatMap((path) => {
      const [, name, list = ''] = /\.only\('(\w+)', options, \[(.*?)\]/.exec(readPage(path)) ?? []
      return [...list.matchAll(/'(\w+)'/g)].map(([, option]) => `${name} ${option}`)
    })
    expect(known.length).toBeGreaterThan(10)
    const [, section = ''] = readPage(PAGE).split('\n### Options of plugins\n')
    const calls = section
      .split(/\n#/, 1)
      .join()
      .matchAll(/`(\w+)\(\{ ([\w, ]+) \}\)`/g)
    const listed = [...calls].flatMap(([, name, options = '']) =>
      options.split(', ').map((option) => `${name} ${option}`),
    )
    expect(listed.toSorted()).toEqual(known.toSorted())
  })

  it('options has exactly the existing members', () => {
    const [, members = ''] =
      /interface PresignerOptions[^{]*\{\n([\s\S]*?)\n\}/.exec(readPage('src/instance.ts')) ?? []
    const names = [...members.matchAll(/^ {2}(\w+)\?: /gm)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(5)
    expect(documented('## Options').toSorted()).toEqual(names.toSorted())
  })
})

describe('the minimal app', () => {
  let close = async (): Promise<void> => {}
  let ask: (path: string, init?: RequestInit) => Promise<Response>
  const get = (path: string, headers: Record<string, string> = {}) => ask(path, { headers })
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    ask(path, {
      method: 'POST',
      headers: { Cookie: 'session=42', 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  const UPLOAD = { fileName: 'My Photo.PNG', mimetype: 'image/png' }
  /** The path and the query of a link to an uploaded image. */
  let link: string

  beforeAll(async () => {
    const s3 = await startS3rver({
      port: 0,
      directory: join(snippets.directory, 's3'),
      corsOrigins: ['https://app.example.com'],
    })
    writeFileSync(
      join(snippets.directory, 'wrangler.toml'),
      [
        'name = "app"',
        'main = "workers/worker.ts"',
        block('wrangler'),
        WRANGLER,
        '[alias]',
        ...Object.entries(ENTRIES).map(([name, path]) => `"${name}" = "${path}"`),
      ].join('\n'),
    )
    // The app of the page, which needs a bundle of its own.
    const worker = createTestHarness({
      workers: [
        {
          configPath: join(snippets.directory, 'wrangler.toml'),
          vars: { S3_ENDPOINT: s3.endpoint },
          secrets: {
            S3_ACCESS_KEY_ID: s3.accessKeyId,
            S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
            SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
          },
        },
      ],
    })
    close = async () => {
      await worker.close()
      await s3.close()
    }
    const { url } = await worker.listen()
    ask = (path, init) => fetch(new URL(path, url), init)

    const uploadSchema = z.object({ uploadUrl: z.string(), key: z.string() })
    const answer: unknown = await (await post('/media/files/upload-url', UPLOAD)).json()
    const { uploadUrl, key } = uploadSchema.parse(answer)
    const headers = { 'Content-Type': UPLOAD.mimetype }
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels, or so' })
    const minted: unknown = await (await get(`/link?key=${key}`)).json()
    const { pathname, search } = new URL(z.object({ link: z.string() }).parse(minted).link)
    link = pathname + search
  })
  afterAll(() => close())

  it('signs only for logged-in users, below their own prefix', async () => {
    expect(await (await post('/media/files/upload-url', UPLOAD)).json()).toMatchObject({
      key: expect.stringMatching(/^users\/42\/uploads\//),
    })
    expect((await post('/media/files/upload-url', UPLOAD, { Cookie: '' })).status).toBe(401)
  })

  it('finds the exported class, and serves links from edge copies', async () => {
    expect(await (await get('/media/healthz')).json()).toEqual({ status: 'ok', edgeCache: true })
    expect(await (await get(link)).text()).toBe('pixels, or so')
    await expect
      .poll(async () => (await get(link)).headers.get('Cache-Status'))
      .toContain('edge-presigner; hit')
  })

  it.each([
    ['alone', 'cross-origin'],
    ['strict', 'same-origin'],
    ['relaxed', 'cross-origin'],
  ])(
    'serves links with the header that the pitfall of secureHeaders describes: %s',
    async (app, policy) => {
      const { headers } = await get(link, { 'X-App': app })
      expect(headers.get('Cross-Origin-Resource-Policy')).toBe(policy)
    },
  )

  it('has its links logged by logger()', async () => {
    await get(link, { 'X-App': 'logged' })
    const lines = z
      .array(z.string())
      .parse(await (await get('/lines', { 'X-App': 'logged' })).json())
    expect(lines.join()).toContain(new URL(link, 'http://host').searchParams.get('sig'))
  })

  it('cannot read a body that the app has already read', async () => {
    const { status } = await post('/media/files/upload-url', UPLOAD, { 'X-App': 'greedy' })
    expect(status).toBe(500)
  })

  it.each([
    ['a page of a different origin', { Origin: 'https://evil.example' }, 403],
    ['a page of an unlisted site', { 'Sec-Fetch-Site': 'cross-site' }, 403],
    ['a program', {}, 200],
  ])('answers %s as described in the section on CSRF', async (_, headers, status) => {
    expect((await post('/media/files/upload-url', UPLOAD, headers)).status).toBe(status)
  })
})

describe('on Node', () => {
  const env = {
    S3_ENDPOINT: 'http://127.0.0.1:9000',
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'files',
    S3_ACCESS_KEY_ID: 'id',
    S3_SECRET_ACCESS_KEY: 'secret',
    SIGNING_SECRETS: 'k1:0123456789abcdef0123456789abcdef',
  }
  it('the entry for Cloudflare fails', async () => {
    await expect(snippets.run('workers/edge.ts', env)).rejects.toThrow('cloudflare:')
  })

  it('the signer prints a code, two URLs and a link', async () => {
    const [code, answers = ''] = (await snippets.run('node/signer.ts', env)).split('\n')
    expect(code).toBe('invalid_key')
    expect(JSON.parse(answers)).toMatchObject({
      upload: {
        key: expect.stringMatching(/^users\/42\/uploads\/.*-my-photo\.jpg$/),
        method: 'PUT',
      },
      download: { expiresIn: 172_800 },
      link: { link: expect.stringMatching(/^https:\/\/files\.example\.com\/i\/files\//) },
    })
  })

  it('the first example of the API uploads a file and prints its link', async () => {
    const directory = join(snippets.directory, 'start/s3')
    const s3 = await startS3rver({ port: 0, directory, corsOrigins: ['http://localhost'] })
    const printed = await snippets
      .run('start/start.ts', {
        ...env,
        S3_ENDPOINT: s3.endpoint,
        S3_ACCESS_KEY_ID: s3.accessKeyId,
        S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        LINK_BASE: 'https://app.example.com',
      })
      .finally(() => s3.close())
    expect(printed).toMatch(/^https:\/\/app\.example\.com\/i\/files\/uploads%2F\w+-hello\.txt\?/)
  })

  it('a Hono app signs for its own prefix, and a presigner runs in a test', async () => {
    const answers: unknown = JSON.parse(await snippets.run('node/main.ts', env))
    expect(answers).toMatchObject({
      upload: { key: expect.stringMatching(/^users\/42\/uploads\/.*-a\.txt$/) },
      own: expect.stringContaining('/files/users/42/uploads/a.txt?'),
      foreign: 404,
      health: { status: 'ok', edgeCache: false },
      list: { files: [] },
      url: expect.stringContaining('X-Amz-Date=20261124T232800Z'),
    })
  })
})
