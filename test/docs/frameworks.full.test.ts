import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, type Plugin, transformWithOxc } from 'vite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { startS3rver } from '../../cli/s3rver.ts'
import { installOwnPackages } from '../../dev/own-packages.ts'
import { type BuiltWorker, startBuiltWorker } from '../e2e/built-worker.ts'
import { chooseByKeyboard, connectChromium } from '../e2e/chromium.ts'
import { smallPng } from '../e2e/small-png.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { markedBlock, ROOT, readPage } from './support/markdown.ts'
import { BROWSER, ENTRIES, type Snippets, writeSnippets } from './support/snippets.ts'

const PACKAGES = join(import.meta.dirname, 'recipes')
const own = createRequire(join(PACKAGES, 'package.json'))
const example = (name: string): string => readPage(`examples/react-app/src/${name}`)

/** The files of each recipe. Those without an extension of the framework are also type-checked. */
const RECIPES = {
  vue: { 'use-uploads.ts': 'use-uploads', 'Files.vue': 'files', 'main.ts': 'main' },
  svelte: { 'uploads.svelte.ts': 'uploads', 'Files.svelte': 'files', 'main.ts': 'main' },
} as const

/** What the plugins for Vite do: call the framework's own compiler. */
const PLUGINS: Readonly<Record<keyof typeof RECIPES, () => Plugin>> = {
  vue: () => ({
    name: 'vue-files',
    async transform(source, id) {
      if (!id.endsWith('.vue')) return undefined
      const { parse, compileScript } = own('vue/compiler-sfc')
      const { descriptor, errors } = parse(source, { filename: id })
      expect(errors).toEqual([])
      const { content } = compileScript(descriptor, { id: 'files', inlineTemplate: true })
      return transformWithOxc(content, `${id}.ts`)
    },
  }),
  svelte: () => ({
    name: 'svelte-files',
    async transform(source, id) {
      if (!/\.svelte(?:\.ts)?$/.test(id)) return undefined
      const { compile, compileModule } = await import(own.resolve('svelte/compiler'))
      const options = { filename: id, generate: 'client' }
      const { js, warnings } = id.endsWith('.ts')
        ? compileModule((await transformWithOxc(source, id)).code, options)
        : compile(source, options)
      expect(warnings).toEqual([])
      return js
    },
  }),
}

describeWith([CHROMIUM], 'the recipes for Vue and Svelte', () => {
  const stack = new AsyncDisposableStack()
  const apps = new Map<string, Snippets>()
  let worker: BuiltWorker
  let port: number

  beforeAll(async () => {
    await installOwnPackages(PACKAGES)
    const directory = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
    stack.defer(() => rm(directory, { recursive: true }))
    port = await freePort()
    const app = `http://localhost:${port}`
    const s3 = await startS3rver({ port: 0, directory, corsOrigins: [app] })
    stack.defer(() => s3.close())
    const { endpoint, region, bucket } = s3
    worker = await startBuiltWorker({
      buckets: { files: { endpoint, region, bucket, addressing: 'path', credentials: 'S3' } },
      accessKeys: { S3: s3 },
      variables: { OPEN_ACCESS: 'localhost', CORS_ORIGINS: JSON.stringify([app]) },
    })
    stack.defer(() => worker.close())
    for (const [name, files] of Object.entries(RECIPES)) {
      const written = writeSnippets(
        {
          ...Object.fromEntries(
            Object.entries(files).map(([file, mark]) => [
              file,
              markedBlock(`docs/recipes/${name}.md`, mark),
            ]),
          ),
          ...Object.fromEntries(
            ['presigner.ts', 'file-token.ts', 'explain.ts', 'style.css'].map((file) => [
              file,
              example(file).replace('http://localhost:8787', worker.origin),
            ]),
          ),
          'env.d.ts': `declare module '*.css'
declare module '*.vue' { const component: import('vue').Component; export default component }
declare module '*.svelte' { const component: import('svelte').Component; export default component }
interface ImportMeta { readonly env: { readonly VITE_PRESIGNER_URL?: string } }\n`,
        },
        {
          packages: join(PACKAGES, 'node_modules'),
          compilerOptions: { ...BROWSER, types: name === 'svelte' ? ['svelte'] : [] },
        },
      )
      stack.defer(() => written.remove())
      apps.set(name, written)
    }
  })
  afterAll(() => stack.disposeAsync())

  it.each(['vue', 'svelte'] as const)(
    '%s: compiles, uploads, lists, shows and deletes',
    async (name) => {
      const written = apps.get(name)
      if (!written) throw new Error(`${name} is not written.`)
      expect(await written.typeErrors()).toBe('')
      const folder = written.directory
      await writeFile(
        join(folder, 'index.html'),
        '<!doctype html><html lang="en"><title>Files</title><main><h1>Files</h1><div id="app"></div></main><script type="module" src="./main.ts"></script></html>',
      )
      await build({
        root: folder,
        configFile: false,
        logLevel: 'warn',
        plugins: [PLUGINS[name]()],
        resolve: { alias: ENTRIES, preserveSymlinks: true },
        build: { target: 'es2022' },
      })
      await using stack = new AsyncDisposableStack()
      const server = createServer(async (request, response) => {
        const path = request.url === '/' ? '/index.html' : (request.url ?? '')
        const type = { js: 'text/javascript', css: 'text/css' }[path.split('.').at(-1) ?? '']
        const body = await readFile(join(folder, 'dist', path)).catch(() => null)
        response.writeHead(body ? 200 : 404, { 'Content-Type': type ?? 'text/html' }).end(body)
      }).listen(port, 'localhost')
      stack.defer(() => server[Symbol.asyncDispose]())
      await once(server, 'listening')
      const browser = await connectChromium()
      stack.defer(() => browser.close())
      const page = await browser.newPage()
      const errors: string[] = []
      page.on('pageerror', ({ message }) => errors.push(message))
      await page.goto(`http://localhost:${port}`)
      await page.waitForSelector('text=No files yet.')
      const png = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(8, 8) }
      await chooseByKeyboard(page, [png, { ...png, name: 'b.txt', mimeType: 'text/plain' }])
      await page.waitForSelector('[role=status] >> text=2 of 2 files uploaded.')
      await page.waitForSelector('[aria-label=Files] >> text=b.txt')
      const width = () => page.$eval('img', (image) => Reflect.get(image, 'naturalWidth'))
      await expect.poll(width).toBe(4) // 8 pixels, at two for each pixel of the layout
      await page.addScriptTag({ path: join(ROOT, 'node_modules/axe-core/axe.min.js') })
      const violations = 'axe.run().then(({ violations }) => violations.map(({ id }) => id))'
      expect(await page.evaluate(violations)).toEqual([])

      await page.click('[aria-label=Uploads] >> text=Hide')
      await page.waitForSelector('text=1 of 1 files uploaded.')
      let isFailing = true
      await page.route('http://127.0.0.1:*/**', async (route) =>
        isFailing && route.request().method() === 'PUT'
          ? route.fulfill({ status: 400, headers: { 'Access-Control-Allow-Origin': '*' } })
          : route.continue(),
      )
      await page.setInputFiles('[type=file]', { ...png, name: 'c.txt', mimeType: 'text/plain' })
      await page.waitForSelector('[aria-label=Uploads] [role=alert]')
      isFailing = false
      await page.click('text=Try again')
      await page.waitForSelector('text=2 of 2 files uploaded.')

      await page.reload()
      await expect.poll(width).toBe(4)
      for (const file of ['a.png', 'b.txt', 'c.txt'])
        await page.click(`[aria-label="Delete ${file}"]`)
      await page.waitForSelector('text=No files yet.')
      expect(await page.locator('[role=alert]').allTextContents()).toEqual([])
      expect(errors).toEqual([])
    },
  )
})
