import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { markedBlock } from '../docs/support/markdown.ts'
import { runShell, withoutCurl } from '../docs/support/shell.ts'
import { connectChromium } from './chromium.ts'
import { type Consumers, createConsumers } from './package/consumers.ts'
import { logIn, type MountedApp, PASSWORD, startMountedApp } from './package/mounted-app.ts'
import { startNodeServer } from './package/node-server.ts'
import { exec, projectBin, typeCheck } from './package/packed.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

/** Compiles only if the types exist, and are not `any`. */
const USE = `
import { createPresigner, defineSettings, isPresignerError } from 'edge-presigner'
import { apiKeys } from 'edge-presigner/api-keys'
import { dropBoxes } from 'edge-presigner/drop-boxes'
import { events } from 'edge-presigner/events'
import { files } from 'edge-presigner/files'
import { grants } from 'edge-presigner/grants'
import { images } from 'edge-presigner/images'
import { d1FileIndex, kvFileIndex } from 'edge-presigner/indexes'
import { sqliteFileIndex } from 'edge-presigner/sqlite'
import { jwt } from 'edge-presigner/jwt'
import { links } from 'edge-presigner/links'
import { multipart } from 'edge-presigner/multipart'
import { notifications } from 'edge-presigner/notifications'
import { json, newApp, type Plugin } from 'edge-presigner/plugin'
import { createSigner } from 'edge-presigner/signer'
import { tokens } from 'edge-presigner/tokens'
import { uppy } from 'edge-presigner/uppy'
import { memoryFileIndex } from 'edge-presigner/testing'
import { Hono } from 'hono'

interface Env { readonly SECRETS: string }

const settings = defineSettings((env: Env) => ({
  buckets: {
    files: {
      endpoint: 'https://s3.example.com',
      region: 'auto',
      bucket: 'files',
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    },
  },
  signingSecrets: env.SECRETS,
}))
const index = memoryFileIndex()
export const indexes = (db: Parameters<typeof d1FileIndex>[0], kv: Parameters<typeof kvFileIndex>[0]) => [d1FileIndex(db), kvFileIndex(kv), sqliteFileIndex('files.db')]
const own: Plugin = { name: 'own', api: newApp().get('/me', (c) => json(c, c.get('principal').id)) }
const media = createPresigner<Env, { user: string | null }>(settings, {
  plugins: [
    notifications({ secrets: (env) => env.SECRETS }),
    ...[grants(), uppy(), dropBoxes(), multipart()],
    files({ index: () => index }),
    links({ images: images({ binding: null, sizes: [320] }) }),
    events({ onEvent: ({ file }, { env }) => ({ data: env.SECRETS + file.key }) }),
    tokens(),
    own,
  ],
  authenticate: (c) => c.var.user && { id: c.var.user, scopes: ['files:read'], prefix: '' },
})
new Hono<{ Bindings: Env; Variables: { user: string | null } }>().route('/media', media.app)

createPresigner(settings, {
  plugins: [
    apiKeys({ keys: (env) => JSON.parse(env.SECRETS) }),
    jwt({
      accept: (env) => ({
        issuer: env.SECRETS,
        audience: 'files',
        algorithms: ['ES256'],
        jwksUrl: 'https://issuer.example/jwks.json',
        prefix: 'users/{sub}/',
        scopes: ['files:read'],
      }),
    }),
  ],
})

const signer = createSigner(settings, { SECRETS: '' })
const url: string = (await signer.downloadUrl('a/b.png', { use: 'email' })).url
export const code: string = isPresignerError(url) ? url.code : ''

// @ts-expect-error
uppy({ multipart: multipart() })
// @ts-expect-error
settings({ SECRETS: 1 })
// @ts-expect-error
signer.downloadUrl('a/b.png', { use: 'never' })
// @ts-expect-error
createPresigner(settings, { authenticate: () => ({ id: 1 }) })
createPresigner(settings, { plugins: [files({ index: ({ SECRETS }) => (SECRETS ? index : memoryFileIndex()) })] })
// @ts-expect-error
createPresigner(settings, { plugins: [files({ index: (env) => env.FILES })] })
`

/** As above, for a Worker whose environment has more than the Worker reads. */
const WORKER_WITH_HOOKS = `
import { createWorker, events, files, type WorkerEnv } from 'edge-presigner/worker'

interface Env extends WorkerEnv { readonly FILE_INDEX: KVNamespace; readonly FOLDER: string }

const { handler } = createWorker<Env>({
  plugins: [files(), events({ onEvent: ({ file }, { env }) => ({ data: env.FOLDER + file.key }) })],
  beforeUpload: (_file, _principal, c) => ({ metadata: { folder: c.env.FOLDER } }),
})
export default handler satisfies ExportedHandler<Env>

// @ts-expect-error
createWorker<Env>({ plugins: [events({ onEvent: (_event, { env }) => env.OTHER })] })
// @ts-expect-error
createWorker({ plugin: [] })
`

let consumers: Consumers
let app: MountedApp
beforeAll(async () => {
  consumers = await createConsumers()
  app = await startMountedApp(consumers.mounted.current)
})
afterAll(async () => {
  await app?.[Symbol.asyncDispose]()
  await consumers?.[Symbol.asyncDispose]()
})

const installed = (...path: string[]): string =>
  join(consumers.fresh, 'node_modules/edge-presigner', ...path)

describe('the package', () => {
  it('installs only its runtime dependencies, and runs no scripts', async () => {
    expect(await readdir(join(consumers.fresh, 'node_modules'))).toEqual([
      '.bin',
      '.package-lock.json',
      '@rgrove',
      'aws4fetch',
      'edge-presigner',
      'hono',
      'jose',
      'zod',
    ])
    const { dependencies, peerDependencies, devDependencies, scripts } = manifest.parse(
      JSON.parse(await readFile(installed('package.json'), 'utf8')),
    )
    for (const range of Object.values(dependencies)) expect(range).toMatch(/^\^\d+\.\d+\.\d+$/)
    for (const version of Object.values(devDependencies)) expect(version).toMatch(/^\d/)
    // No optional ones: docs/maintainers/decisions/packages.md
    expect(peerDependencies).toEqual({ hono: '>=4.8 <5' })
    for (const script of ['preinstall', 'install', 'postinstall'])
      expect(scripts).not.toHaveProperty(script)
  })

  it('has modules, the types of its entries, and source maps with the sources', async () => {
    expect((await readdir(installed())).toSorted()).toEqual([
      'LICENSE',
      'README.md',
      'cli',
      'dist',
      'drop-box',
      'package.json',
    ])
    const files = await readdir(installed('dist'), { recursive: true, withFileTypes: true })
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => relative(installed('dist'), join(file.parentPath, file.name)))
      // Commands and the page: package-cli.slow.test.ts. What Node gets is bundled.
      .filter((path) => !/^(?:cli|page|node)\//.test(path))
    expect(paths.filter((path) => !/\.(?:js|js\.map|d\.ts)$/.test(path))).toEqual([])
    const types = paths.filter((path) => path.endsWith('.d.ts'))
    expect(types).toContain('signer.d.ts')
    expect(types).not.toContain('routes/files.d.ts') // Not visible through any entry.
    for (const path of types)
      expect(await readFile(installed('dist', path), 'utf8')).not.toMatch(/["']\.[^"']*\.ts["']/)
    const modules = paths.filter((path) => path.endsWith('.js'))
    expect(modules.length).toBeGreaterThan(50)
    for (const path of modules) {
      const code = await readFile(installed('dist', path), 'utf8')
      expect(code).toContain(`//# sourceMappingURL=${path.split('/').at(-1)}.map`)
      const map: unknown = JSON.parse(await readFile(installed('dist', `${path}.map`), 'utf8'))
      expect(map).toMatchObject({ sourcesContent: [expect.any(String)] })
    }
  })

  it('runs in Node without Cloudflare modules, and exports exactly these names', async () => {
    const script = `
      import * as presigner from 'edge-presigner'
      import * as signer from 'edge-presigner/signer'
      import * as testing from 'edge-presigner/testing'
      import * as indexes from 'edge-presigner/indexes'
      import * as sqlite from 'edge-presigner/sqlite'
      import document from 'edge-presigner/openapi.json' with { type: 'json' }
      const { createPresigner, defineSettings } = presigner
      const bucket = { endpoint: 'https://s3.example.com', region: 'auto', bucket: 'files' }
      const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' }
      const settings = defineSettings(() => ({
        buckets: { files: { ...bucket, credentials } },
        signingSecrets: 'k1:0123456789abcdef0123456789abcdef',
      }))
      const request = new Request('https://files.example.com/healthz')
      const response = await createPresigner(settings, { log() {} }).fetch(request)
      console.log(JSON.stringify({
        names: [presigner, signer, testing, indexes, sqlite].map(Object.keys),
        openapi: document.openapi,
        health: response.status,
      }))`
    const printed = await exec(consumers.fresh, 'node', '--input-type=module', '-e', script)
    expect(JSON.parse(printed)).toEqual({
      names: [
        ['createPresigner', 'defineSettings', 'isPresignerError', 'settingsFromEnv'],
        ['createSigner', 'defineSettings', 'isPresignerError', 'settingsFromEnv'],
        ['declareFileIndexContract', 'fixedClock', 'memoryFileIndex'],
        ['d1FileIndex', 'kvFileIndex'],
        ['sqliteFileIndex'],
      ],
      openapi: expect.stringMatching(/^3\.1\./),
      health: 200,
    })
  })

  it('gets few files in Node, with the packages, their licenses and source maps', async () => {
    const script = `
      import { registerHooks } from 'node:module'
      const urls = []
      registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
      await import('edge-presigner')
      await import('edge-presigner/multipart')
      await import('edge-presigner/jwt')
      console.log(JSON.stringify(urls))`
    const printed = await exec(consumers.fresh, 'node', '--input-type=module', '-e', script)
    const loaded = z.array(z.string()).parse(JSON.parse(printed.replaceAll('\\\\', '/')))
    expect(loaded.join('\n')).not.toMatch(/node_modules\/(?:zod|jose|aws4fetch|@rgrove)\//)
    const own = loaded.filter((url) => url.includes('/dist/node/'))
    expect(own.length).toBeLessThan(30)
    expect(own.join('\n')).toContain('/dist/node/plugins.js')
    const files = await readdir(installed('dist/node'), { recursive: true })
    for (const name of ['plugins.js', 'index.js']) expect(files).toContain(`${name}.map`)
    const licenses = await readFile(installed('dist/node/LICENSES.txt'), 'utf8')
    for (const name of ['zod', 'jose', 'aws4fetch', '@rgrove/parse-xml'])
      expect(licenses).toMatch(new RegExp(`^${name}\n[^]+?Permission `, 'm'))
  })

  it('exports the same names in Node as for bundlers', async () => {
    const entries = z
      .object({ exports: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(await readFile(installed('package.json'), 'utf8'))).exports
    const both = z.object({ node: z.string(), default: z.string(), workerd: z.string() })
    const pairs = Object.values(entries).flatMap((entry) => {
      const { success, data } = both.safeParse(entry)
      return success && !data.default.endsWith('/cloudflare.js') ? [data] : []
    })
    expect(pairs.length).toBeGreaterThan(20)
    for (const pair of pairs) expect(pair.workerd).toBe(pair.default)
    const script = `
      const names = (path) => import(path).then(Object.keys)
      const all = ${JSON.stringify(pairs)}.map(async (one) => [await names(one.node), await names(one.default)])
      console.log(JSON.stringify(await Promise.all(all)))`
    const printed = await exec(installed(), 'node', '--input-type=module', '-e', script)
    for (const [node, bundler] of z.array(z.array(z.array(z.string()))).parse(JSON.parse(printed)))
      expect(node).toEqual(bundler)
  })

  it.each([
    { how: 'bundler', module: 'esnext', lib: ['es2022', 'dom'], types: [] },
    { how: 'bundler', module: 'esnext', lib: ['es2022'], types: ['node'] },
    { how: 'node16', module: 'node16', lib: ['es2022', 'dom'], types: [] },
    { how: 'node16', module: 'node16', lib: ['es2022'], types: ['node'] },
  ])('has types, resolved as $how with lib $lib and types $types', async (options) => {
    const { how: moduleResolution, ...others } = options
    const folder = await mkdtemp(join(consumers.fresh, 'types-'))
    const compilerOptions = {
      ...{ target: 'es2022', strict: true, exactOptionalPropertyTypes: true },
      ...{ noEmit: true, skipLibCheck: false, moduleResolution, ...others },
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    await writeFile(join(folder, 'use.ts'), USE)
    await typeCheck(folder)
  })
})

it.each([
  ['bundler', 'esnext'],
  ['node16', 'node16'],
])('a Worker of its own has types, resolved as %s', async (moduleResolution, module) => {
  const folder = await mkdtemp(join(consumers.fresh, 'worker-'))
  const compilerOptions = {
    ...{ target: 'es2022', lib: ['es2022'], types: ['@cloudflare/workers-types'], module },
    ...{ strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: false },
    moduleResolution,
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  await writeFile(join(folder, 'worker.ts'), markedBlock('docs/mount.md', 'own-worker'))
  await writeFile(join(folder, 'hooks.ts'), WORKER_WITH_HOOKS)
  await typeCheck(folder)
})

describe.each(['current', 'oldest'] as const)('the mounted app, with the %s Hono', (version) => {
  const folder = () => consumers.mounted[version]

  it.each([
    ['bundler', 'esnext'],
    ['node16', 'node16'],
  ])('compiles, resolved as %s', async (how, module) => {
    // The types of Hono 4.8.0 don't compile with those of Workers.
    const options = version === 'oldest' ? ['--skipLibCheck'] : []
    const resolution = ['--moduleResolution', how, '--module', module]
    await typeCheck(folder(), ...resolution, ...options)
  })

  it('accepts only the session of the app', async () => {
    await using own = version === 'current' ? null : await startMountedApp(folder())
    const { origin } = own ?? app
    const alice = await logIn(origin, 'alice')
    const start = { fileName: 'a.png', mimetype: 'image/png' }
    const answer = await alice.fetch('POST', '/media/files/upload-url', start)
    expect(answer.status).toBe(200)
    const { uploadUrl, key, headers } = uploadUrlAnswer.parse(await answer.json())
    expect(key).toMatch(/^users\/alice\/uploads\//)
    await fetch(uploadUrl, { method: 'PUT', headers, body: 'pixels' })
    const recorded = await alice.fetch('POST', '/media/files', { key, name: 'a.png' })
    expect(recorded.status).toBe(201)
    expect(recorded.headers.get('Location')).toBe(
      `/media/files/${encodeURIComponent(key)}?bucket=files`,
    )
    const listed = await alice.fetch('GET', '/media/files')
    expect(await listed.json()).toMatchObject({ files: [{ key, owner: 'app:alice', size: 6 }] })

    const linked = await alice.fetch('POST', `/media/files/${encodeURIComponent(key)}/link`, {})
    const { link } = linkAnswer.parse(await linked.json())
    expect(link).toMatch(new RegExp(`^${origin}/media/i/files/`))
    expect(await (await fetch(link)).text()).toBe('pixels')

    const bob = await logIn(origin, 'bob')
    const stolen = await bob.fetch('GET', `/media/files/${encodeURIComponent(key)}/url`)
    expect(stolen.status).toBe(403)
    const guessed = await fetch(`${origin}/session`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user: 'alice', password: 'guess' }),
    })
    expect(guessed.status).toBe(401)
    const nobody = await fetch(`${origin}/media/files`, { headers: { Cookie: 'session=alice' } })
    expect(nobody.status).toBe(401)
    expect(await nobody.json()).toMatchObject({ code: 'unauthenticated' })
  })
})

it('wrangler bundles the mounted app', async () => {
  const printed = await projectBin(consumers.mounted.current, 'wrangler', 'deploy', '--dry-run')
  expect(printed).toMatch(/Total Upload: .* gzip: /)
})

describeWith([CHROMIUM], 'the page of the mounted app', () => {
  it('logs in, uploads and shows a file, with the client package', async () => {
    await using stack = new AsyncDisposableStack()
    const browser = await connectChromium()
    stack.defer(() => browser.close())
    const page = await browser.newPage()
    await page.goto(app.origin)
    await page.fill('[name=user]', 'alice')
    await page.fill('[name=password]', PASSWORD)
    await page.click('text=Log in')
    await page.waitForSelector('main:not([hidden])')
    await page.setInputFiles('[type=file]', {
      name: 'a.png',
      mimeType: 'image/png',
      buffer: smallPng(8, 8),
    })
    const width = () => page.$eval('section img', (image) => Reflect.get(image, 'naturalWidth'))
    await page.waitForSelector('section img')
    await expect.poll(width).toBeGreaterThan(0)
    const shown = await page.$eval('section img', (image) => Reflect.get(image, 'currentSrc'))
    const resized = await fetch(String(shown), { headers: { Accept: 'image/webp' } })
    expect(resized.headers.get('Content-Type')).toBe('image/webp')

    const files = ['b.pdf', 'c.mp4', 'd.png'].map((name) => ({
      name,
      buffer: Buffer.from('hello'),
    }))
    const types = ['application/pdf', 'video/mp4', 'image/png'] // the last one has no pixels
    await page.setInputFiles(
      '[type=file]',
      files.map((file, index) => ({ ...file, mimeType: types[index] ?? '' })),
    )
    for (const { name } of files) await page.waitForSelector(`section a >> text=${name}`)
    expect(await page.$$('section img')).toHaveLength(1)
    const pdf = await page.$eval('section a:text("b.pdf")', (link) => Reflect.get(link, 'href'))
    expect(await (await fetch(String(pdf))).text()).toBe('hello')
    expect(await page.textContent('[role=alert]')).toBe('')

    // In a string, because Vite would rewrite an import in this file.
    const client = (options: object) =>
      page.evaluate(`(async () => {
        const { createClient } = await import('/presigner.js')
        const client = createClient({ baseUrl: '/media', ...${JSON.stringify(options)} })
        const file = new File(['0123456789'], 'b.bin', { type: 'application/octet-stream' })
        return client.upload(file, { multipart: true }).catch(({ code }) => ({ code }))
      })()`)
    expect(await client({ credentials: 'include', headers: { 'X-App': '1' } })).toMatchObject({
      name: 'b.bin',
      size: 10,
      owner: 'app:alice',
    })
    expect(await client({ credentials: 'omit' })).toEqual({ code: 'unauthenticated' })
  })
})

describe('the Node server', async () => {
  it('compiles', async () => {
    await typeCheck(consumers.nodeServer)
  })

  it.skipIf(await withoutCurl())(
    'signs URLs and links that the bucket and the mounted app accept',
    async () => {
      await using server = await startNodeServer(consumers.nodeServer, {
        PORT: String(await freePort()),
        S3_ENDPOINT: app.s3.endpoint,
        S3_REGION: app.s3.region,
        S3_BUCKET: app.s3.bucket,
        S3_ACCESS_KEY_ID: app.s3.accessKeyId,
        S3_SECRET_ACCESS_KEY: app.s3.secretAccessKey,
        S3_WRITE_ACCESS_KEY_ID: app.s3.accessKeyId,
        S3_WRITE_SECRET_ACCESS_KEY: app.s3.secretAccessKey,
        SIGNING_SECRETS: app.signingSecrets,
        LINK_BASE: `${app.origin}/media`,
        USERS: '{"a-long-random-token":"ada","another-token":"ada/uploads"}',
      })
      const example = markedBlock('examples/node-server/README.md', 'node-server')
      const printed = await runShell(example.replaceAll('http://localhost:3000', server.origin))
      const [text, json = ''] = printed.split('\n')
      expect(text).toBe('hello')
      const { link } = linkAnswer.parse(JSON.parse(json))
      const shown = await fetch(link)
      expect(await shown.text()).toBe('hello\n')

      const ask = (path: string, token: string, method = 'GET') =>
        fetch(server.origin + path, { method, headers: { Authorization: `Bearer ${token}` } })
      expect((await ask('/files/users/ada/a.txt', 'a-guess')).status).toBe(401)
      expect((await ask('/files/users/bob/a.txt', 'a-long-random-token')).status).toBe(403)
      const hidden = await ask('/files/users/ada/..%2Fbob%2Fa.txt', 'a-long-random-token')
      expect(hidden.status).toBe(400)
      expect(await hidden.json()).toMatchObject({ code: 'invalid_key' })
      // The folder of a user whose id has a slash is not inside another one's.
      const nested = {
        method: 'POST',
        body: '{"fileName":"b.txt","mimetype":"text/plain","size":1}',
      }
      const started = await fetch(`${server.origin}/uploads`, {
        ...nested,
        headers: { Authorization: 'Bearer another-token', 'Content-Type': 'application/json' },
      })
      const { key } = uploadUrlAnswer.parse(await started.json())
      expect(key).toMatch(/^users\/ada%2Fuploads\/uploads\//)
      const path = `/files/${encodeURIComponent(key)}`
      expect((await ask(path, 'a-long-random-token')).status).toBe(403)
      const redirect = await fetch(server.origin + path, {
        headers: { Authorization: 'Bearer another-token' },
        redirect: 'manual',
      })
      expect(redirect.status).toBe(302)
      const empty = await ask('/uploads', 'a-long-random-token', 'POST')
      expect(empty.status).toBe(400)
      expect(await empty.json()).toMatchObject({ code: 'invalid_request' })
    },
  )
})

const uploadUrlAnswer = z.object({
  uploadUrl: z.string(),
  key: z.string(),
  headers: z.record(z.string(), z.string()),
})
const linkAnswer = z.object({ link: z.string() })
const manifest = z.object({
  dependencies: z.record(z.string(), z.string()),
  peerDependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
  scripts: z.record(z.string(), z.string()),
})
