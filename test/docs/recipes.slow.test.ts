import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runInNewContext } from 'node:vm'
import type { BrowserContext, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import type { S3Server } from '../../cli/s3-server.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { APP_FILES } from '../../create/src/app-files.ts'
import { type BuiltWorker, startBuiltWorker } from '../e2e/built-worker.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { type NodeServer, startNodeServer } from '../e2e/package/node-server.ts'
import { shared } from '../e2e/shared.ts'
import { smallPng } from '../e2e/small-png.ts'
import { CHROMIUM, describeWith, PYTHON, RUBY } from '../e2e/system-package.ts'
import { expectLogOut, logInByCookie, USER_OF_PAGE } from './support/log-out.ts'
import { markedBlock, pagePaths, ROOT, readPage } from './support/markdown.ts'
import { recipeFile } from './support/recipe.ts'
import { runShell, withoutCurl } from './support/shell.ts'
import { BROWSER, type Snippets, writeSnippets } from './support/snippets.ts'

const PACKAGES = join(import.meta.dirname, 'recipes')

/** The logins, which the pages leave to their readers. A user of Auth.js may have no id. */
const NEXT_SESSION = `
export const currentUser = async (): Promise<{ id: string } | null> => {
  const id = process.env.USER_ID
  return id === undefined ? null : Object({ id: id || undefined })
}
`
const EXPRESS_SESSION = `
import type { Request } from 'express'

export async function currentUser({ headers }: Request): Promise<{ id: string } | null> {
  const [, id] = /user=([^;]+)/.exec(headers.cookie ?? '') ?? []
  return id === undefined ? null : { id: decodeURIComponent(id) }
}
`
/** Calls the handler as Next.js does. */
const CALL_ROUTE = `
import { POST } from './app/api/file-token/route.ts'

const response = await POST()
const { status, headers } = response
console.log(JSON.stringify({ status, cache: headers.get('Cache-Control'), ...(await response.json()) }))
`
const CALL_MINT = `
import { mintFileToken } from './lib/mint-file-token.ts'

await mintFileToken(JSON.parse('{}').id)
`
/** The login of a server that has `Request` objects. */
const FETCH_SESSION = `
export async function currentUser({ headers }: Request): Promise<{ id: string } | null> {
  const [, id] = /user=([^;]+)/.exec(headers.get('Cookie') ?? '') ?? []
  return id === undefined ? null : { id }
}
`
const EXPRESS_4 = "declare module 'express-4' {\n  export { default, Request } from 'express'\n}\n"
const FRIEND = 'https://friend.example'
/** Lets the pages of another origin use the API. */
const withFriend = (settings: string): string =>
  settings
    .replace('signingSecrets:', `corsOrigins: ['${FRIEND}'],\n  signingSecrets:`)
    .replace(
      'settingsFromEnv(process.env)',
      `{ ...settingsFromEnv(process.env), corsOrigins: ['${FRIEND}'] }`,
    )
const USER_TOKEN = 'a-long-random-token'

/** The scopes that a server's API key needs: docs/recipes/README.md. */
const API_KEY = `ep_my-app_${'0123456789abcdef'.repeat(3).slice(5)}`
const SCOPES = ['files:upload', 'files:read', 'files:list', 'files:delete', 'links:create']

const tokenAnswer = z.object({ token: z.string() })
const plainFile = (name: string): string => readPage(`examples/plain-html/${name}`)
const reactFile = (name: string): string => readPage(`examples/react-app/src/${name}`)

let next: Snippets
let express: Snippets
let api: Snippets
let signer: Snippets
let s3: S3Server
let worker: BuiltWorker
let app: string
let appPort: number
let directory: string

/** The settings with which the servers of the recipes reach the Worker. */
const variables = () => ({ PRESIGNER_URL: worker.origin, PRESIGNER_KEY: API_KEY })

beforeAll(async () => {
  const packages = await shared('ownPackages', PACKAGES)
  next = writeSnippets(
    {
      ...APP_FILES.next,
      'lib/mint-file-token.ts': readPage('examples/token-server/mint-file-token.ts'),
      'lib/session.ts': NEXT_SESSION,
      'app/api/file-token/route.ts': readPage('examples/token-server/next-route.ts'),
      'app/files/file-token.ts': reactFile('file-token.ts'),
      'app/files/files.tsx': reactFile('files.tsx'),
      'app/files/search.tsx': recipeFile('react', 'src/search.tsx'),
      'call-route.ts': CALL_ROUTE,
      'call-mint.ts': CALL_MINT,
      // Node's types conflict with those of browsers in the client's sources.
      'css.d.ts': "declare module '*.css'",
      'process.d.ts': 'declare const process: { env: Record<string, string | undefined> }',
    },
    {
      packages,
      aliases: {
        '@/lib/media': 'lib/media.ts',
        '@/lib/session': 'lib/session.ts',
        '@/lib/mint-file-token': 'lib/mint-file-token.ts',
      },
      compilerOptions: BROWSER,
    },
  )
  const server = readPage('examples/token-server/server.ts')
  express = writeSnippets(
    {
      'mint-file-token.ts': readPage('examples/token-server/mint-file-token.ts'),
      'session.ts': EXPRESS_SESSION,
      'server.ts': server,
      'server-4.ts': server.replace("from 'express'", "from 'express-4'"),
      'types-4.d.ts': EXPRESS_4,
    },
    { packages, compilerOptions: { types: ['node'], lib: ['es2024'] } },
  )
  const inApp = APP_FILES.express ?? {}
  const nodeSettings = markedBlock('docs/mount.md', 'node-settings')
  api = writeSnippets(
    {
      'server.mjs': inApp['server.mjs'] ?? '',
      'server-4.mjs': inApp['server.mjs']?.replace("from 'express'", "from 'express-4'") ?? '',
      'media.mjs': withFriend(inApp['media.mjs'] ?? ''),
      'session.mjs': EXPRESS_SESSION.replace(/^import.*|: Request|: Promise<.*>/gm, ''),
      'node/server.ts': markedBlock('docs/mount.md', 'fetch'),
      'node/session.ts': FETCH_SESSION,
      'node/settings.ts': nodeSettings.replace(
        /settingsFromEnv\(.*?\)/,
        `{ ...$&, corsOrigins: ['${FRIEND}'] }`,
      ),
      'types-4.d.ts': EXPRESS_4,
    },
    { packages, compilerOptions: { types: ['node'] } },
  )
  // test/e2e/package.slow.test.ts compiles these with the types of the package.
  signer = writeSnippets(
    {
      'app.ts': readPage('examples/node-server/src/app.ts'),
      'main.ts': readPage('examples/node-server/src/main.ts'),
    },
    { packages },
  )

  directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  appPort = await freePort()
  app = `http://localhost:${appPort}`
  s3 = await startS3rver({ port: 0, directory, corsOrigins: [app] })
  const { endpoint, region, bucket } = s3
  worker = await startBuiltWorker({
    buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
    accessKeys: { S3: s3 },
    variables: {
      API_KEYS: JSON.stringify([
        {
          id: 'my-app',
          sha256: createHash('sha256').update(API_KEY).digest('hex'),
          scopes: ['tokens:create', ...SCOPES],
          prefix: 'users/',
        },
      ]),
      CORS_ORIGINS: JSON.stringify([app]),
    },
  })
})
afterAll(async () => {
  await worker?.close()
  await s3?.close()
  await rm(directory, { recursive: true })
  next.remove()
  express.remove()
  api.remove()
  signer.remove()
})

/** Returns the status of a list with `token`, for each prefix. */
const listed = (token: string, ...prefixes: readonly string[]): Promise<number[]> =>
  Promise.all(
    prefixes.map(async (prefix) => {
      const query = new URLSearchParams({ prefix })
      const headers = { Authorization: `Bearer ${token}` }
      return (await fetch(`${worker.origin}/files?${query}`, { headers })).status
    }),
  )

describe('the code of the recipes', () => {
  it('compiles, for Next.js and for Express', async () => {
    expect(await express.typeErrors()).toBe('')
    for (const app of [next, api]) {
      // The sources of the package need the types of Workers, which conflict with those of Node and browsers.
      const errors = (await app.typeErrors()).split('\n').filter((line) => /^\w/.test(line))
      expect(errors).toEqual([])
    }
  })

  it('names the scopes of the key that it needs', () => {
    const [, list = ''] = /--scopes (\S+)/.exec(readPage('docs/recipes/README.md')) ?? []
    expect(list.split(',')).toEqual(['tokens:create', ...SCOPES])
  })

  it('fetches tokens the same way on each page', () => {
    const typed = reactFile('file-token.ts')
    const plain = typed
      .replaceAll(/\??: (?:Promise<string>|string|unknown|void)(?: \| (?:null|undefined))*/g, '')
      .replace("'edge-presigner-client'", "'./edge-presigner-client.js'")
    expect(plainFile('file-token.js')).toBe(plain)
    expect(readPage('client/README.md')).toContain(`\n\`\`\`ts\n${typed}\`\`\`\n`)
    for (const path of [...pagePaths(), 'client/README.md']) {
      const calls = readPage(path).match(/\bfetch\('[^']*token'[^)]*\)/g) ?? []
      expect([path, ...new Set(calls)]).toEqual([
        path,
        ...(calls.length > 0 ? ["fetch('/api/file-token', { method: 'POST' })"] : []),
      ])
    }
  })

  it('names one port for the mounted example, which its CORS rules have too', () => {
    const ports = readPage('examples/mounted-app/README.md').matchAll(
      /--port (\d+)|localhost:(\d+)/g,
    )
    const found = [...ports].map(([, option, origin]) => option ?? origin)
    expect(found.length).toBeGreaterThan(2)
    expect([...new Set(found)]).toEqual(['8788'])
  })

  it('mints each token for a user, whose tag then differs from that of others', () => {
    for (const path of pagePaths().filter((path) => path.startsWith('docs/recipes/')))
      for (const [block] of readPage(path).matchAll(/^ *```\w*\n[\s\S]*?^ *```$/gm))
        if (/\btokens\.create\(|\/tokens"/.test(block)) expect(block, path).toContain('subject')
    expect(readPage('examples/token-server/mint-file-token.ts')).toContain('subject')
    for (const language of ['ruby', 'python'])
      expect(markedBlock('docs/recipes/rails-and-django.md', language)).toMatch(
        /users\/#?\{user\}\/.*subject.*\buser\b/,
      )
  })

  it('ends the client in one line at a log-out, in each recipe with a page', () => {
    for (const path of pagePaths().filter((path) => path.startsWith('docs/recipes/'))) {
      const page = readPage(path)
      const isRails = path.endsWith('rails-and-django.md')
      const pageOf = isRails ? readPage('docs/recipes/plain-html.md') : page
      if (isRails || (/\bcreateClient\(\{/.test(page) && !path.includes('plugin')))
        expect(pageOf, path).toMatch(/^.*\b(?:presigner|media|images|client)\.end\(\).*$/m)
    }
  })

  it('counts in units of 1,000 bytes', () => {
    for (const path of pagePaths().filter((path) => path.startsWith('docs/recipes/')))
      expect(readPage(path), path).not.toMatch(/\b1024\b/)
  })
})

describe('the route handler for Next.js', () => {
  const call = async (USER_ID?: string): Promise<unknown> => {
    const user = USER_ID === undefined ? {} : { USER_ID }
    return JSON.parse(await next.run('call-route.ts', { ...variables(), ...user }))
  }

  it('gives each user a token for their own folder', async () => {
    const answer = await call('ann@example.com')
    expect(answer).toMatchObject({ status: 200, cache: 'no-store' })
    const { token } = tokenAnswer.parse(answer)
    const own = `users/${encodeURIComponent('ann@example.com')}/`
    expect(await listed(token, own, 'users/ann/', 'users/')).toEqual([200, 403, 403])
  })

  it('mints no token for an id that must be encoded first', async () => {
    await expect(call('ann/uploads')).rejects.toThrow('subject')
  })

  it('answers 401 when nobody is logged in, and when the user has no id', async () => {
    expect(await call()).toMatchObject({ status: 401 })
    expect(await call('')).toMatchObject({ status: 401 })
  })

  it('mints no token without the id of a user, because all of them would share a folder', async () => {
    const mint = next.run('call-mint.ts', variables())
    await expect(mint).rejects.toThrow('mintFileToken needs the id of a user.')
  })
})

describe.each([
  ['5', 'server.ts'],
  ['4', 'server-4.ts'],
])('the server with Express %s', (_, file) => {
  const start = (more: Readonly<Record<string, string>> = {}) =>
    startNodeServer(express.directory, { ...variables(), PORT: `${appPort}`, ...more }, [
      '--import',
      './hooks.mjs',
      file,
    ])
  const ask = (Cookie: string) =>
    fetch(`${app}/api/file-token`, { method: 'POST', headers: { Cookie } })

  it('gives each logged-in user a token for their own folder', async () => {
    await using _ = await start()
    const answer = await ask('user=ada')
    expect(answer.headers.get('Cache-Control')).toBe('no-store')
    const { token } = tokenAnswer.parse(await answer.json())
    expect(await listed(token, 'users/ada/', 'users/bob/')).toEqual([200, 403])
    expect((await ask('')).status).toBe(401)
  })

  it('answers 500 when the Worker refuses the key', async () => {
    await using _ = await start({ PRESIGNER_KEY: 'ep_my-app_wrong', NODE_ENV: 'production' })
    expect((await ask('user=ada')).status).toBe(500)
  })
})

describe.each([
  ["Node's http", 'node/server.ts'],
  ['Express 5', 'server.mjs'],
  ['Express 4', 'server-4.mjs'],
])('the API below a base path, with %s', (_, file) => {
  let server: NodeServer
  const ask = (path: string, { headers, ...init }: RequestInit = {}) =>
    fetch(new URL(path, server.origin), { ...init, headers: { Cookie: 'user=ada', ...headers } })
  const post = async (path: string, body: object): Promise<unknown> => {
    const headers = { 'Content-Type': 'application/json' }
    const answer = await ask(path, { method: 'POST', headers, body: JSON.stringify(body) })
    expect(answer.ok, `${path} ${answer.status}`).toBe(true)
    return answer.json()
  }

  beforeAll(async () => {
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3
    server = await startNodeServer(
      api.directory,
      {
        PORT: `${appPort}`,
        S3_ENDPOINT: endpoint,
        S3_REGION: region,
        S3_BUCKET: bucket,
        S3_ACCESS_KEY_ID: accessKeyId,
        S3_SECRET_ACCESS_KEY: secretAccessKey,
        SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
        LINK_BASE: `${app}/api/media`,
        FILES_DB: join(directory, `${file}.db`),
      },
      ['--import', './hooks.mjs', file],
    )
  })
  afterAll(() => server[Symbol.asyncDispose]())

  it('has all routes for the logged-in user', async () => {
    expect(await (await ask('/api/media/healthz')).json()).toMatchObject({ status: 'ok' })
    const file = { fileName: 'a.txt', mimetype: 'text/plain' }
    const { uploadUrl, key } = z
      .object({ uploadUrl: z.string(), key: z.string().check(z.startsWith('users/ada/')) })
      .parse(await post('/api/media/files/upload-url', file))
    const type = { 'Content-Type': 'text/plain' }
    await fetch(uploadUrl, { method: 'PUT', headers: type, body: 'hello' })
    expect(await post('/api/media/files', { key })).toMatchObject({ key, size: 5 })
    const { link } = z
      .object({ link: z.string().check(z.startsWith(`${app}/api/media/i/files/`)) })
      .parse(await post(`/api/media/files/${encodeURIComponent(key)}/link`, {}))
    expect(await (await fetch(link)).text()).toBe('hello')
    expect((await fetch(link.replace('media', 'mediX'))).status).toBe(404)
    // The plain page asks for this. Without the Images binding, it shows the original.
    const asked = { keys: [key], widths: [320, 1280], fallback: 'original' }
    const { links } = z
      .object({ links: z.array(z.object({ link: z.string(), srcset: z.string() })) })
      .parse(await post('/api/media/links', asked))
    expect(await (await fetch(links[0]?.link ?? '')).text()).toBe('hello')
    expect((await ask('/api/media/limits', { headers: { Cookie: '' } })).status).toBe(401)
  })

  it.each(['/healthz', '/api/mediaX/healthz', '/api/medi%61/healthz', '/API/media/healthz'])(
    'does not have %s',
    async (path) => expect((await ask(path)).status).toBe(404),
  )

  it('answers preflights and foreign pages itself', async () => {
    const from = (Origin: string, method: string) =>
      ask('/api/media/files/upload-url', {
        method,
        headers: {
          Origin,
          'Access-Control-Request-Method': 'POST',
          'Content-Type': 'application/json',
        },
      })
    const preflight = await from(FRIEND, 'OPTIONS')
    expect([preflight.status, preflight.headers.get('Access-Control-Allow-Origin')]).toEqual([
      204,
      FRIEND,
    ])
    expect((await from('https://evil.example', 'POST')).status).toBe(403)
    expect((await from(app, 'POST')).status).toBe(400)
  })
})

it('the signer for Express signs what its page uploads', async () => {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = s3
  await using server = await startNodeServer(
    signer.directory,
    {
      PORT: `${await freePort()}`,
      S3_ENDPOINT: endpoint,
      S3_REGION: region,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
      S3_WRITE_ACCESS_KEY_ID: s3.writer.accessKeyId,
      S3_WRITE_SECRET_ACCESS_KEY: s3.writer.secretAccessKey,
      SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
      LINK_BASE: 'https://files.example.com',
      USERS: JSON.stringify({ [USER_TOKEN]: 'ada' }),
    },
    ['--import', './hooks.mjs', 'main.ts'],
  )
  const context = {
    fetch: (url: string, init: RequestInit) => fetch(new URL(url, server.origin), init),
  }
  const script = readPage('examples/node-server/upload.js').replace('export ', '')
  const upload = runInNewContext(`${script}\nupload`, context)
  const key = await upload(new File(['hello'], 'hello.txt', { type: 'text/plain' }), USER_TOKEN)
  expect(key).toMatch(/^users\/ada\/uploads\//)
  const headers = { Authorization: `Bearer ${USER_TOKEN}` }
  expect(await (await fetch(`${server.origin}/files/${key}`, { headers })).text()).toBe('hello')
  await expect(upload(new File([''], 'a.txt'), 'another')).rejects.toThrow('Log in first.')
})

describe('the commands for any server', async () => {
  const noCurl = await withoutCurl()

  it.skipIf(noCurl)('mint a token for one user', async () => {
    const printed = await runShell(
      markedBlock('docs/recipes/rails-and-django.md', 'token'),
      variables(),
    )
    const [list = '', refusal = ''] = printed.split('\n')
    expect(JSON.parse(list)).toEqual({ files: [] })
    expect(JSON.parse(refusal)).toMatchObject({ code: 'forbidden' })
  })

  it.skipIf(noCurl)(
    'read a record, sign a URL, link to a picture, and delete the file',
    async () => {
      const headers = { Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json' }
      const started = await fetch(`${worker.origin}/files/upload-url`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ fileName: 'a.txt', mimetype: 'text/plain', directory: '42' }),
      })
      const upload = z
        .object({ uploadUrl: z.string(), key: z.string() })
        .parse(await started.json())
      const type = { 'Content-Type': 'text/plain' }
      await fetch(upload.uploadUrl, { method: 'PUT', headers: type, body: 'hello' })

      const env = { ...variables(), KEY: upload.key }
      const printed = await runShell(
        markedBlock('docs/recipes/rails-and-django.md', 'server-side'),
        env,
      )
      const [file = '', signed = '', linked = '', ...rest] = printed.split('\n')
      expect(JSON.parse(file)).toMatchObject({ key: upload.key, size: 5, mimetype: 'text/plain' })
      const { url, expiresIn } = z
        .object({ url: z.string(), expiresIn: z.number() })
        .parse(JSON.parse(signed))
      expect(expiresIn).toBe(172_800)
      expect(JSON.parse(linked)).toMatchObject({ links: [{ key: upload.key }] })
      expect(rest).toEqual([''])
      expect((await fetch(url)).status).toBe(404)
    },
  )
})

for (const [language, system] of [
  ['ruby', RUBY],
  ['python', PYTHON],
] as const)
  describeWith([system], `the function in ${system.name}`, () => {
    it('makes a token for the folder of one user', async () => {
      const code = markedBlock('docs/recipes/rails-and-django.md', language)
      const script = `${code}\nprint(file_token(42))\n`
      const { stdout } = await promisify(execFile)(
        system.name,
        [language === 'ruby' ? '-e' : '-c', script],
        {
          env: { ...process.env, ...variables() },
        },
      )
      expect(await listed(stdout.trim(), 'users/42/', 'users/7/')).toEqual([200, 403])
    })
  })

describeWith([CHROMIUM], 'the plain page, served by examples/token-server', () => {
  beforeAll(async () => {
    await mkdir(join(express.directory, 'public'))
    await build({
      root: join(ROOT, 'client'),
      logLevel: 'warn',
      build: { outDir: join(directory, 'client'), emptyOutDir: true },
    })
    const folder = join(express.directory, 'public')
    await writeFile(join(folder, 'index.html'), plainFile('index.html'))
    await writeFile(join(folder, 'file-token.js'), plainFile('file-token.js'))
    const presigner = plainFile('presigner.js')
      .replace('http://localhost:8787', worker.origin)
      .replace('user:', 'token: fileToken, user:')
    const tokens = "import { fileToken } from './file-token.js'\n"
    await writeFile(join(folder, 'presigner.js'), tokens + presigner)
    const currentUser = plainFile('current-user.js')
    expect(currentUser).toContain("'demo'")
    await writeFile(
      join(folder, 'current-user.js'),
      currentUser.replace("'demo'", () => USER_OF_PAGE),
    )
    await copyFile(join(directory, 'client/index.js'), join(folder, 'edge-presigner-client.js'))
  })

  const start = () => {
    const server = { ...variables(), PORT: `${appPort}` }
    const modules = ['--import', './hooks.mjs', 'server.ts']
    return startNodeServer(express.directory, server, modules)
  }

  // @threat other-user-in-browser
  it.each([1, 2] as const)('uploads nothing more after a log-out, with %i tab(s)', async (tabs) => {
    await using _ = await start()
    await using stack = new AsyncDisposableStack()
    const browser = await connectChromium()
    stack.defer(() => browser.close())
    await expectLogOut({ browser, url: app }, tabs)
  })

  it('uploads, lists, shows and deletes the files of the logged-in user', async () => {
    await using stack = new AsyncDisposableStack()
    stack.use(await start())
    const browser = await connectChromium()
    stack.defer(() => browser.close())
    const page = await browser.newPage()
    await page.goto(app)
    await expect.poll(() => page.textContent('[role=alert]')).toBe('The user has logged out.')

    await page.context().addCookies([{ name: 'user', value: 'ada', url: app }])
    await page.reload()
    const png = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
    const property = (selector: string, name: string) =>
      page.$eval(selector, (element, key) => Reflect.get(element, key), name)
    const width = () => property('li img', 'naturalWidth')
    const buffer = Buffer.from('hello')
    await page.setInputFiles('[type=file]', [
      png,
      { name: 'b.txt', mimeType: 'text/plain', buffer },
      { name: 'c.png', mimeType: 'image/png', buffer }, // no picture
    ])
    for (const name of ['b.txt', 'c.png']) await page.waitForSelector(`li a >> text=${name}`)
    await page.waitForSelector('li img')
    await expect.poll(width).toBe(4) // 8 pixels, at two for each pixel of the layout

    await page.reload()
    for (const name of ['b.txt', 'c.png']) await page.waitForSelector(`li a >> text=${name}`)
    await page.waitForSelector('li img')
    await expect.poll(width).toBe(4)
    const open = async (link: unknown) =>
      fetch(z.string().parse(link), { headers: { Accept: 'image/webp' } })
    for (const link of [
      await property('li img', 'currentSrc'),
      await property('li a:has(img)', 'href'),
    ])
      expect((await open(link)).headers.get('Content-Type')).toBe('image/webp')
    expect(await (await open(await property('li a:text("b.txt")', 'href'))).text()).toBe('hello')
    await page.click('[aria-label="Delete a.png"]')
    await page.waitForSelector('li img', { state: 'detached' })
    expect(await page.textContent('[role=alert]')).toBe('')
    expect(await page.$$('li')).toHaveLength(2)
  })

  // @threat other-user-in-browser
  it.each([1, 2] as const)(
    'in Rails or Django, uploads nothing more after a log-out, with %i tab(s)',
    async (tabs) => {
      const folder = join(express.directory, 'public')
      await writeFile(
        join(folder, 'current-user.js'),
        recipeFile('rails-and-django', 'current-user.js'),
      )
      // What the template does: it writes the id of whoever is logged in.
      const written =
        '<body><script>{ const [, user] = /user=(\\w+)/.exec(document.cookie) ?? []; if (user) document.body.dataset.user = user }</script>'
      const html = plainFile('index.html')
      await writeFile(
        join(folder, 'index.html'),
        html.replace('<h1>', () => `${written}<h1>`),
      )
      await using _ = await start()
      await using stack = new AsyncDisposableStack()
      const browser = await connectChromium()
      stack.defer(() => browser.close())
      /** Logs in on another page, which replaces the body. */
      const logIn = async (user: string, context: BrowserContext, page?: Page) => {
        await logInByCookie(user, context, page)
        await page?.evaluate(`document.body.dataset.user = '${user}'`)
      }
      await expectLogOut({ browser, url: app, logIn }, tabs)
    },
  )
})
