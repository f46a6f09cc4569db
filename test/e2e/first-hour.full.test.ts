import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { freePort } from '../../cli/ports.ts'
import { recipeSteps } from '../docs/support/recipe.ts'
import { chooseByKeyboard, startChromium } from './chromium.ts'
import { type NpmProcess, startNpm } from './npm-process.ts'
import { type NodeServer, startNodeServer } from './package/node-server.ts'
import { exec, projectBin, ROOT } from './package/packed.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

/** An origin that no setting allows. The browser resolves it to this machine. */
const OTHER_HOST = 'photos.test'

/** What your own server does with the signer: docs/mount.md. */
const SIGN = `
import { createSigner, defineSettings } from 'edge-presigner/signer'
const { S3_ENDPOINT, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, SIGNING_SECRETS } = process.env
const settings = defineSettings(() => ({
  buckets: {
    files: {
      endpoint: S3_ENDPOINT,
      region: 'us-east-1',
      bucket: 'files',
      credentials: { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY },
    },
  },
  signingSecrets: SIGNING_SECRETS,
}))
console.log((await createSigner(settings, {}).downloadUrl(process.argv[2])).url)
`

const tokenAnswer = z.object({ token: z.string() })
const listAnswer = z.object({ files: z.array(z.object({ key: z.string(), name: z.string() })) })

const PNG = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
const TEXT = { name: 'b.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') }

describeWith([CHROMIUM], 'the first hour: a new React app next to npm run dev', () => {
  let directory: string
  /** The app's folder. */
  let app: string
  let dev: NpmProcess
  /** The app's own `npm run dev`, without variables. */
  let server: NodeServer
  /** The same, with the URL of the presigner: its page needs a token. See `startWithTokens`. */
  let withTokens: NodeServer | undefined
  /** The Worker's port. */
  let presigner: string
  let s3Port: number
  let browser: Browser
  /** The app's own server: its response to `POST /api/file-token`. */
  let answerToken: () => Promise<readonly [status: number, body: object]>
  let backend: Server

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    app = join(directory, 'my-app')
    const port = await freePort()
    s3Port = await freePort()
    presigner = `http://localhost:${port}`
    dev = startNpm(
      ...['run', 'dev', '--', '--port', `${port}`, '--s3-port', `${s3Port}`],
      ...['--data', join(directory, 'my-files/.dev')],
    )
    backend = createServer(async (_, response) => {
      const [status, body] = await answerToken()
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    }).listen(0, 'localhost')
    await once(backend, 'listening')
    const { port: backendPort } = backend.address() as AddressInfo

    await cp(join(ROOT, 'examples/react-app'), app, {
      recursive: true,
      filter: (path) => !/[\\/](?:node_modules|dist|[^\\/]+\.tgz)$/.test(path),
    })
    await replaceIn(join(app, 'src/presigner.ts'), 'http://localhost:8787', presigner)
    await replaceIn(
      join(app, 'vite.config.ts'),
      'http://localhost:3000',
      `http://localhost:${backendPort}`,
    )
    const tarballs = await Promise.all([
      shared('tarball', 'edge-presigner-client'),
      shared('tarball', 'edge-presigner'),
    ])
    const quick = ['--prefer-offline', '--no-audit', '--no-fund']
    await exec(app, 'npm', 'install', ...quick, ...tarballs, 'hono')
    server = await startApp()
    // Its own browser, which resolves one more host.
    browser = await startChromium(`--host-resolver-rules=MAP ${OTHER_HOST} localhost`)
    await dev.printed(/Ready: http/)
  })
  afterAll(async () => {
    await browser?.close()
    await withTokens?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
    await dev?.[Symbol.asyncDispose]()
    backend?.close()
    await rm(directory, { recursive: true })
  })

  /** Starts the app's own `npm run dev`. */
  const startApp = async (variables: Readonly<Record<string, string>> = {}): Promise<NodeServer> =>
    startNodeServer(app, { __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: OTHER_HOST, ...variables }, [
      ...['node_modules/vite/bin/vite.js', '--strictPort', '--port', `${await freePort()}`],
    ])

  /**
   * Returns the origin of the app that needs a token. It starts once, and after the other one, whose
   * optimized packages it uses.
   */
  async function startWithTokens(): Promise<string> {
    withTokens ??= await startApp({ VITE_PRESIGNER_URL: presigner })
    return withTokens.origin
  }

  /** Opens a page in its own tab. An uncaught error of the page fails the test. */
  async function open(url: string): Promise<Page & AsyncDisposable> {
    const page = await browser.newPage()
    const errors: Error[] = []
    page.on('pageerror', (error) => errors.push(error))
    await page.goto(url)
    return Object.assign(page, {
      async [Symbol.asyncDispose]() {
        await page.close()
        expect(errors).toEqual([])
      },
    })
  }

  /** Returns the errors of the list, and of uploads. */
  const alerts = (page: Page): Promise<string[]> =>
    page.locator('[role=alert]:not(:empty), .ep-dropzone-reason').allTextContents()

  /**
   * Waits until the image itself is loaded, not only its element. Its 8 pixels are shown as 4: the
   * `srcset` promises two for each of the layout.
   */
  const seesPicture = (page: Page): Promise<void> => {
    const widths = () =>
      page
        .locator('.files img')
        .evaluateAll((all) => all.map((image) => Reflect.get(image, 'naturalWidth')))
    return expect.poll(widths).toEqual([4])
  }

  /** Fails if the page is wider than a phone. */
  async function expectFitsPhone(page: Page): Promise<void> {
    await page.setViewportSize({ width: 390, height: 844 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  }

  /** Fails with axe's violations: rules, and the elements that break them. */
  async function expectAccessible(page: Page): Promise<void> {
    await page.addScriptTag({ path: join(ROOT, 'node_modules/axe-core/axe.min.js') })
    const violations = `axe.run().then(({ violations }) =>
      violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))`
    expect(await page.evaluate(violations)).toEqual([])
  }

  /** Returns the files of the index, by name. */
  async function listed(): Promise<Map<string, string>> {
    const { files } = listAnswer.parse(await (await fetch(`${presigner}/files`)).json())
    return new Map(files.map(({ name, key }) => [name, key]))
  }

  /** Mints a token at the Worker, as the server of an app does. */
  async function mint(expiresIn: number, limits: object = {}): Promise<string> {
    const response = await fetch(`${presigner}/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        scopes: ['files:upload', 'files:list', 'files:read', 'links:create'],
        prefix: 'users/ada/',
        expiresIn,
        ...limits,
      }),
    })
    return tokenAnswer.parse(await response.json()).token
  }

  it('uploads, lists, shows and deletes files, with a form for keyboards and screen readers', async () => {
    await using page = await open(server.origin)
    await page.waitForSelector('text=No files yet.')
    await chooseByKeyboard(page, [PNG, TEXT])
    await page.waitForSelector('[role=status] >> text=2 of 2 files uploaded.')
    await seesPicture(page)
    await page.evaluate(`(() => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File(['dropped'], 'c.txt', { type: 'text/plain' }))
      const drop = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true })
      document.querySelector('.ep-dropzone-zone').dispatchEvent(drop)
    })()`)
    await page.waitForSelector('text=3 of 3 files uploaded.')
    await expectAccessible(page)
    await page.click('[aria-label="Hide: a.png"]')
    await page.waitForSelector('text=2 of 2 files uploaded.')
    expect(await page.locator('[aria-label=Files] li').count()).toBe(3)

    await page.reload()
    await seesPicture(page)
    expect(await page.locator('[aria-label=Files] li').count()).toBe(3)
    await page.click('[aria-label="Delete c.txt"]')
    await expect.poll(() => page.locator('[aria-label=Files] li').count()).toBe(2)
    await expect
      .poll(async () => [...(await listed()).keys()].toSorted())
      .toEqual(['a.png', 'b.txt'])
    expect(await alerts(page)).toEqual([])
  })

  it('sends four files at a time, and cancels active and waiting ones', async () => {
    await using page = await open(server.origin)
    await page.waitForSelector('[aria-label=Files] li')
    const held: Route[] = []
    await page.route(`http://127.0.0.1:${s3Port}/**`, async (route) => {
      if (route.request().method() === 'PUT') held.push(route)
      else await route.continue()
    })
    const names = ['1.txt', '2.txt', '3.txt', '4.txt', '5.txt', '6.txt']
    await page.setInputFiles(
      '[type=file]',
      names.map((name) => ({ ...TEXT, name })),
    )
    await expect.poll(() => held.length).toBe(4)
    await expectAccessible(page)
    await page.click('[aria-label="Cancel: 1.txt"]')
    await expect.poll(() => held.length).toBe(5)
    await page.click('[aria-label="Cancel: 6.txt"]')
    for (const route of held) await route.continue().catch(() => undefined) // One was cancelled.
    await page.waitForSelector('text=4 of 4 files uploaded.')
    const kept = [...(await listed()).keys()].filter((name) => names.includes(name))
    expect(kept.toSorted()).toEqual(['2.txt', '3.txt', '4.txt', '5.txt'])
    expect(await alerts(page)).toEqual([])
  })

  it('has a signer for its own server, with the bucket settings of the recipe for Hono', async () => {
    const [script = ''] = recipeSteps('hono').flatMap(({ code }) =>
      code.includes('.dev.vars') ? [code.replace('4568', `${s3Port}`)] : [],
    )
    await exec(app, 'sh', '-euc', script)
    const written = (await readFile(join(app, '.dev.vars'), 'utf8')).matchAll(/^(\w+)=./gm)
    const names = [...written].map(([, name]) => name)
    const example = ['.dev.vars.example', 'wrangler.toml'].map((name) =>
      readFileSync(join(ROOT, 'examples/mounted-app', name), 'utf8'),
    )
    expect(names.toSorted()).toEqual(
      example.flatMap((text) => text.match(/^[A-Z_\d]+(?= ?=)/gm) ?? []).toSorted(),
    )

    await writeFile(join(app, 'sign.mjs'), SIGN)
    const key = (await listed()).get('b.txt') ?? ''
    const url = await exec(app, 'node', '--env-file=.dev.vars', 'sign.mjs', key)
    expect(await (await fetch(url.trim())).text()).toBe('hello')
  })

  it('compiles and builds', async () => {
    await projectBin(app, 'tsc', '-p', '.')
    await exec(app, 'npm', 'run', 'build')
  })

  it('tells users what to do when their token has expired or they are not logged in', async () => {
    const expired = await mint(1)
    const headers = { Authorization: `Bearer ${expired}` }
    await expect.poll(async () => (await fetch(`${presigner}/files`, { headers })).status).toBe(401)
    answerToken = async () => [200, { token: expired }]

    await using page = await open(await startWithTokens())
    const EXPIRED = 'Your session has expired. Reload the page.'
    await expect.poll(() => alerts(page)).toEqual([EXPIRED])
    await page.setInputFiles('[type=file]', TEXT)
    await expect.poll(() => alerts(page)).toEqual([EXPIRED, EXPIRED])
    await page.waitForSelector('text=0 of 1 files uploaded, 1 failed.')
    await expectAccessible(page)
    await expectFitsPhone(page)

    // The Worker has refused the token, so the client requests another one.
    answerToken = async () => [200, { token: await mint(600) }]
    await page.click('text=Try again')
    await page.waitForSelector('text=1 of 1 files uploaded.')
    expect((await listed()).get('b.txt')).toMatch(/^users\/ada\//)

    answerToken = async () => [401, { message: 'Log in first.' }]
    await page.reload()
    await expect.poll(() => alerts(page)).toEqual(['Log in to use your files.'])
  })

  it('shows what users may upload, and why a file is refused', async () => {
    const limits = { allowedTypes: ['image/*'], maxBytes: 2_500_000 }
    answerToken = async () => [200, { token: await mint(600, limits) }]
    await using page = await open(await startWithTokens())
    await page.waitForSelector('text=Up to 2.5 MB for each file.')
    expect(await page.getAttribute('[type=file]', 'accept')).toBe('image/*')
    await page.setInputFiles('[type=file]', TEXT)
    await expect.poll(() => alerts(page)).toEqual(['b.txt: Files of this type are not allowed.'])

    answerToken = async () => [200, { token: await mint(600, { maxBytes: 1999 }) }]
    await page.reload()
    await page.waitForSelector('text=Up to 1.9 kB for each file.')
  })

  it('keeps the place of the keyboard after each action', async () => {
    await using page = await open(server.origin)
    await page.waitForSelector('[aria-label=Files] li')
    const focused = () =>
      page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.type')
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await page.route(`http://127.0.0.1:${s3Port}/**`, async (route) => {
      if (route.request().method() === 'PUT') await held
      await route.continue().catch(() => undefined) // The upload may be over.
    })
    await page.setInputFiles('[type=file]', [TEXT, { ...TEXT, name: 'z.txt' }])
    await page.focus(`[aria-label="Pause: ${TEXT.name}"]`)
    for (const label of ['Resume', 'Pause']) {
      await page.keyboard.press('Enter')
      await expect.poll(focused).toBe(`${label}: ${TEXT.name}`)
    }
    await page.focus(`[aria-label="Cancel: ${TEXT.name}"]`)
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Cancel: z.txt')
    release()
    await expect.poll(focused).toBe('Hide: z.txt')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('file')

    await page.focus('[aria-label="Delete z.txt"]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[role=status] >> text=z.txt deleted.')
    expect(await focused()).toMatch(/^Delete /)
  })

  it('does not tell users to log in when the server returns no token, or a broken one', async () => {
    answerToken = async () => [200, {}]
    await using page = await open(await startWithTokens())
    const NO_TOKEN = '/api/file-token returned no token.'
    await expect.poll(() => alerts(page)).toEqual([NO_TOKEN])
    answerToken = async () => [200, { token: 'ept_broken' }]
    await page.reload()
    await expect
      .poll(() => alerts(page))
      .toEqual([
        expect.stringMatching(/^Your files are not available\. \(malformed, request [\w-]+\)$/),
      ])
  })

  it('shows why an upload waits', async () => {
    await using page = await open(server.origin)
    await page.waitForSelector('[aria-label=Files] li')
    let isDown = true
    await page.route(`http://127.0.0.1:${s3Port}/**`, async (route) =>
      isDown && route.request().method() === 'PUT'
        ? route.fulfill({ status: 503, headers: { 'Access-Control-Allow-Origin': '*' } })
        : route.continue(),
    )
    await page.setInputFiles('[type=file]', TEXT)
    await page.waitForSelector('[aria-label=Uploads] progress ~ .ep-dropzone-reason')
    isDown = false
    await page.waitForSelector('text=1 of 1 files uploaded.')
    expect(await alerts(page)).toEqual([])
  })

  it('names the setting for a page of a different origin', async () => {
    const origin = server.origin.replace('localhost', OTHER_HOST)
    await using page = await open(origin)
    const names = () =>
      alerts(page).then((all) =>
        all.map((text) =>
          ['baseUrl', 'CORS_ORIGINS', origin].filter((name) => text.includes(name)),
        ),
      )
    const everything = ['baseUrl', 'CORS_ORIGINS', origin]
    await expect.poll(names).toEqual([everything])
    await page.setInputFiles('[type=file]', TEXT)
    await expect.poll(names).toEqual([everything, everything])
    await expectFitsPhone(page)
  })
})

async function replaceIn(file: string, text: string, replacement: string): Promise<void> {
  const before = await readFile(file, 'utf8')
  expect(before).toContain(text)
  await writeFile(file, before.replaceAll(text, replacement))
}
