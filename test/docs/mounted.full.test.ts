import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { answers, waitUntil } from '../../cli/wait-until.ts'
import { APP_FILES } from '../../create/src/app-files.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { type NodeServer, startNodeServer } from '../e2e/package/node-server.ts'
import { exec, install, projectBin } from '../e2e/package/packed.ts'
import { shared } from '../e2e/shared.ts'
import { smallPng } from '../e2e/small-png.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { expectLogOut, type LogOut } from './support/log-out.ts'
import { ROOT } from './support/markdown.ts'
import { recipeFile } from './support/recipe.ts'

const FRIEND = 'https://friend.example'
const PUBLIC_HOST = 'app.example.com'

interface Framework {
  /** The configuration that the page shows for production. */
  readonly config: string
  readonly page: string
  /** The files that TypeScript checks alone. */
  readonly checked: readonly string[]
  readonly session: string
  /** The headers of a request, in the session. */
  readonly headers: string
  readonly build: readonly string[]
  readonly start: readonly string[]
}

/** Returns the login of the tests: a header, or the cookie of a browser. */
const userIn = (headers: string) =>
  `id: ${headers}.get('X-Test-User') ?? /user=(\\w+)/.exec(${headers}.get('Cookie') ?? '')?.[1] ?? 'demo'`

const FRAMEWORKS: Readonly<Record<'sveltekit' | 'astro', Framework>> = {
  sveltekit: {
    config: 'vite.config.ts',
    page: 'src/routes/files/+page.svelte',
    checked: ['src/lib/server/media.ts', 'src/lib/server/session.ts'],
    session: 'src/lib/server/session.ts',
    headers: 'getRequestEvent().request.headers',
    build: ['node_modules/vite/bin/vite.js', 'build'],
    start: ['build'],
  },
  astro: {
    config: 'astro.config.mjs',
    page: 'src/pages/files.astro',
    checked: ['src/pages/api/media/[...path].ts', 'src/server/media.ts', 'src/server/session.ts'],
    session: 'src/server/session.ts',
    headers: 'request.headers',
    build: ['node_modules/astro/bin/astro.mjs', 'build'],
    start: ['dist/server/entry.mjs'],
  },
}
/** What `npx sv create` writes. */
const APP_HTML = `<!doctype html><html lang="en"><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>\n`

/** Sends a request with a `Host` of its own, which fetch can't. */
async function sendTo(origin: string, path: string, method: string, headers: object) {
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    request(new URL(path, origin), { method, headers: { ...headers } }, resolve)
      .on('error', reject)
      .end(),
  )
  return { status: response.statusCode, body: await text(response) }
}

for (const [name, framework] of Object.entries(FRAMEWORKS)) {
  const texts = APP_FILES[name] ?? {}
  describeWith([CHROMIUM], `the recipe for ${name}, built`, () => {
    const stack = new AsyncDisposableStack()
    let directory: string
    let variables: Record<string, string>
    /** The app at `http://localhost:PORT`. */
    let origin: string

    /** Writes the page's files into a folder, and builds the app for `publicOrigin`. */
    async function build(app: string, publicOrigin: string): Promise<void> {
      const files: Record<string, string> = {
        ...texts,
        [framework.config]: recipeFile('astro-sveltekit', framework.config),
      }
      if (name === 'sveltekit') files['src/app.html'] = APP_HTML
      const event = "import { getRequestEvent } from '$app/server'\n"
      for (const path of Object.keys(texts))
        files[path] = (texts[path] ?? '').replace(
          /settingsFromEnv\((.*)\)\)/,
          `({ ...settingsFromEnv($1), corsOrigins: ['${FRIEND}'] }))`,
        )
      const session = (texts[framework.session] ?? '')
        .replace('_request', 'request')
        .replace("id: 'demo'", userIn(framework.headers))
        .replace(/\n {2}if \(.*\)\s*throw new Error\(.*\)/, '')
      files[framework.session] = (name === 'sveltekit' ? event : '') + session
      for (const [path, code] of Object.entries(files)) {
        await mkdir(join(app, dirname(path)), { recursive: true })
        await writeFile(join(app, path), code)
      }
      const env = { APP_ORIGIN: publicOrigin, ASTRO_TELEMETRY_DISABLED: '1' }
      const set = Object.entries(env).map(([key, value]) => `${key}=${value}`)
      await exec(app, 'env', ...set, process.execPath, ...framework.build)
    }

    /** Starts the built app. The servers print their addresses in their own ways. */
    async function start(app: string, publicOrigin: string, port: number): Promise<NodeServer> {
      const linkBase = `${publicOrigin}/api/media`
      const own = { ...variables, APP_ORIGIN: publicOrigin, LINK_BASE: linkBase, PORT: `${port}` }
      const print = `data:text/javascript,console.log("http://localhost:${port}")`
      const server = await startNodeServer(app, own, ['--import', print, ...framework.start])
      await waitUntil('the app answers', () => answers(server.origin), 60)
      return server
    }

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
      stack.defer(() => rm(directory, { recursive: true }))
      const port = await freePort()
      origin = `http://localhost:${port}`
      const s3 = await startS3rver({
        port: 0,
        directory: join(directory, 's3'),
        corsOrigins: [origin, FRIEND],
      })
      stack.defer(() => s3.close())
      variables = {
        S3_ENDPOINT: s3.endpoint,
        S3_REGION: s3.region,
        S3_BUCKET: s3.bucket,
        S3_ACCESS_KEY_ID: s3.accessKeyId,
        S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        SIGNING_SECRETS: `k1:${'0123456789abcdef'.repeat(2)}`,
        FILES_DB: join(directory, 'data/files.db'),
      }
      const app = join(directory, 'app')
      for (const file of ['package.json', 'package-lock.json'])
        await cp(join(import.meta.dirname, name, file), join(app, file))
      const tarballs = ['edge-presigner', 'edge-presigner-client'] as const
      await install(app, ...(await Promise.all(tarballs.map((each) => shared('tarball', each)))))
      await build(app, origin)
      stack.use(await start(app, origin, port))
    })
    afterAll(() => stack.disposeAsync())

    const ask = (path: string, { headers, ...init }: RequestInit = {}) =>
      fetch(new URL(path, origin), { ...init, headers: { Origin: origin, ...headers } })
    const post = async (path: string, body: object, headers = {}): Promise<unknown> => {
      const json = { 'Content-Type': 'application/json', ...headers }
      return (
        await ask(`/api/media${path}`, {
          method: 'POST',
          headers: json,
          body: JSON.stringify(body),
        })
      ).json()
    }
    const uploadAnswer = z.object({ uploadUrl: z.string(), key: z.string() })
    const UPLOAD = { fileName: 'a.png', mimetype: 'image/png', size: 6 }

    it('has code that compiles', async () => {
      const app = join(directory, 'app')
      const [, script = ''] =
        /<script[^>]*>([\s\S]*?)<\/script>/.exec(texts[framework.page] ?? '') ?? []
      const files: Record<string, string> = {
        ...Object.fromEntries(framework.checked.map((path) => [path, texts[path] ?? ''])),
        // What Svelte's compiler replaces.
        'page.ts': script.replaceAll(/\$state(?:\.raw)?/g, 'state'),
        'state.d.ts': `declare function state<T>(value: T): T
declare function $props<T>(): T
declare module '$app/environment' {
  export const dev: boolean
}
interface ImportMeta {
  readonly env: { readonly PROD: boolean }
}
`,
      }
      const tsconfig = {
        extends: join(ROOT, 'tsconfig.json'),
        compilerOptions: {
          types: ['node'],
          typeRoots: [join(ROOT, 'node_modules/@types')],
          lib: ['es2024', 'dom', 'dom.iterable'],
          noUnusedLocals: false, // the template uses them
        },
        include: ['**/*.ts'],
      }
      files['tsconfig.json'] = JSON.stringify(tsconfig)
      for (const [path, code] of Object.entries(files)) {
        await mkdir(dirname(join(app, 'check', path)), { recursive: true })
        await writeFile(join(app, 'check', path), code)
      }
      await projectBin(join(app, 'check'), 'tsc', '-p', '.')
    })

    it('passes every method on, and leaves preflights to the presigner', async () => {
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const { status, headers } = await ask('/api/media/healthz', { method })
        const isRead = method === 'GET' || method === 'HEAD'
        expect([method, status]).toEqual([method, isRead ? 200 : 404])
        expect(headers.has('X-Request-Id')).toBe(true)
      }
      const preflight = await ask('/api/media/files/upload-url', {
        method: 'OPTIONS',
        headers: { Origin: FRIEND, 'Access-Control-Request-Method': 'POST' },
      })
      expect(preflight.status).toBe(204)
      expect(preflight.headers.get('Access-Control-Allow-Origin')).toBe(FRIEND)
    })

    it('signs, records, lists, renames, delivers and deletes, also for a user with a percent sign', async () => {
      const user = { 'X-Test-User': 'auth0|4%2F2' }
      const { uploadUrl, key } = uploadAnswer.parse(await post('/files/upload-url', UPLOAD, user))
      expect(key.startsWith('users/auth0%7C4%252F2/')).toBe(true)
      const headers = { 'Content-Type': 'image/png' }
      await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
      expect(await post('/files', { key }, user)).toMatchObject({ size: 6 })
      const path = `/files/${encodeURIComponent(key)}`
      const { link } = z.object({ link: z.string() }).parse(await post(`${path}/link`, {}, user))
      expect(link.startsWith(`${origin}/api/media/i/`)).toBe(true)
      expect(await (await fetch(link)).text()).toBe('pixels')
      const rename = {
        method: 'PATCH',
        headers: { ...user, 'Content-Type': 'application/json' },
        body: '{"name":"b.png"}',
      }
      expect(await (await ask(`/api/media${path}`, rename)).json()).toMatchObject({ name: 'b.png' })
      const list = async () => (await ask('/api/media/files', { headers: user })).json()
      expect(await list()).toMatchObject({ files: [{ key, name: 'b.png' }] })
      const remove = await ask(`/api/media${path}`, { method: 'DELETE', headers: user })
      expect(remove.status).toBe(204)
      expect(await list()).toEqual({ files: [] })
    })

    it('lists page by page, only below the prefix', async () => {
      const keys: string[] = []
      for (const id of ['pages', 'pages', 'pages', 'pages2']) {
        const user = { 'X-Test-User': id }
        const { uploadUrl, key } = uploadAnswer.parse(await post('/files/upload-url', UPLOAD, user))
        const headers = { 'Content-Type': 'image/png' }
        await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
        await post('/files', { key }, user)
        if (id === 'pages') keys.push(key)
      }
      const found: string[] = []
      let cursor: string | undefined = ''
      while (cursor !== undefined) {
        const path = `/api/media/files?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`
        const answer = await (await ask(path, { headers: { 'X-Test-User': 'pages' } })).json()
        const part: { files: { key: string }[]; cursor?: string | undefined } = z
          .object({
            files: z.array(z.object({ key: z.string() })),
            cursor: z.optional(z.string()),
          })
          .parse(answer)
        found.push(...part.files.map(({ key }) => key))
        cursor = part.cursor
      }
      expect(found).toEqual(keys.toSorted())
    })

    it('refuses foreign pages, as the table of the page says', async () => {
      const status = async (method: string, headers: Record<string, string>, body?: string) => {
        const init = { method, headers, ...(body === undefined ? {} : { body }) }
        const response = await ask('/api/media/files/users%2Fdemo%2Fnothing', init)
        return [response.status, (await response.text()).split(' ', 1).join()]
      }
      const json = { 'Content-Type': 'application/json' }
      const evil = { Origin: 'https://evil.example' }
      const framework = [403, 'Cross-site']
      expect(await status('DELETE', evil)).toEqual(framework)
      expect(await status('DELETE', { Origin: '' })).toEqual(framework)
      expect(await status('DELETE', { Origin: FRIEND })).toEqual(framework)
      expect(await status('DELETE', { ...evil, ...json })).toEqual([
        403,
        expect.stringContaining('Pages'),
      ])
      expect(await status('DELETE', { ...json, Origin: FRIEND })).toEqual([204, ''])
      expect(await status('DELETE', {})).toEqual([204, ''])
      const { body } = await sendTo(origin, '/api/media/files/a%2Fb', 'DELETE', json)
      expect(body).toContain('"forbidden"') // from the presigner: outside the prefix
    })

    it('the page uploads, shows the picture, and deletes it', async () => {
      const browser = await connectChromium()
      await using own = new AsyncDisposableStack()
      own.defer(() => browser.close())
      const tab = await browser.newPage()
      await tab.goto(`${origin}/files`)
      const shown = async () => [
        await tab.locator('[role=status]').textContent(),
        await tab.locator('li').count(),
      ]
      await expect.poll(shown).toEqual(['', 0])
      const png = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
      await tab.setInputFiles('[type=file]', [
        png,
        { ...png, name: 'b.txt', mimeType: 'text/plain' },
      ])
      await expect.poll(shown).toEqual(['', 2])
      await expect
        .poll(() => tab.$eval('img', (image) => Reflect.get(image, 'naturalWidth')))
        .toBe(8)
      await tab.click('[aria-label="Delete a.png"]')
      await expect.poll(shown).toEqual(['', 1])
      await tab.click('[aria-label="Delete b.txt"]')
      await expect.poll(shown).toEqual(['', 0])
    })

    // @threat other-user-in-browser
    it.each([1, 2] as const)('sends nothing more after a log-out, with %i tab(s)', async (tabs) => {
      const browser = await connectChromium()
      await using own = new AsyncDisposableStack()
      own.defer(() => browser.close())
      // The page for the next user comes from the server.
      const logIn: LogOut['logIn'] = async (user, context, page) => {
        await context.addCookies([{ name: 'user', value: user, url: origin }])
        await page?.reload()
      }
      await expectLogOut({ browser, url: `${origin}/files`, logIn }, tabs)
    })

    it('works behind a proxy that ends TLS, if APP_ORIGIN is the public origin', async () => {
      const app = join(directory, 'app')
      await build(app, `https://${PUBLIC_HOST}`)
      await using server = await start(app, `https://${PUBLIC_HOST}`, await freePort())
      const headers = {
        Host: PUBLIC_HOST,
        'X-Forwarded-Proto': 'https',
        Origin: `https://${PUBLIC_HOST}`,
      }
      const path = '/api/media/files/users%2Fdemo%2Fnothing'
      expect(await sendTo(server.origin, path, 'DELETE', headers)).toEqual({
        status: 204,
        body: '',
      })
      const evil = { ...headers, Origin: 'https://evil.example' }
      expect(await sendTo(server.origin, path, 'DELETE', evil)).toMatchObject({ status: 403 })
    })
  })
}
