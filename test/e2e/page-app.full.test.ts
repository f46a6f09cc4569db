import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { linesFor } from '../../demo/src/app-lines.ts'
import { fragment } from '../../tools/site/pages.ts'
import { headings, ROOT, readPage } from '../docs/support/markdown.ts'
import { runShell, withoutCurl } from '../docs/support/shell.ts'
import { type DemoPage, seriousFindings, startDemoPage, tile } from './demo-page.ts'
import { shared } from './shared.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const REPOSITORY = 'https://github.com/edge-presigner/edge-presigner'
const REACT = join(ROOT, 'test/e2e/react-18')
const APP = `<!doctype html><main><input type="file"><img alt=""></main>
<script type="module" src="/app.js"></script>`

describeWith([CHROMIUM], 'the lines for an app on the page in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let demo: DemoPage

  beforeAll(async () => {
    demo = stack.use(await startDemoPage())
  })

  afterAll(() => stack.disposeAsync())

  const dialog = (page: Page) => page.getByRole('dialog', { name: 'Use it in your app' })
  const open = async (page: Page) => {
    await page.getByRole('button', { name: 'Use it in your app' }).press('Enter')
    await dialog(page).waitFor()
  }
  const lines = (page: Page) => dialog(page).getByRole('textbox', { name: 'Use', exact: true })
  const pick = (page: Page, name: string) => dialog(page).getByRole('radio', { name }).check()

  it('have its origin, and can be copied', async () => {
    await using tab = await demo.open({ permissions: ['clipboard-read', 'clipboard-write'] })
    const { page } = tab
    await open(page)
    const copied = () => page.evaluate('navigator.clipboard.readText()')
    for (const [name, kind] of [
      ['JavaScript', 'client'],
      ['React', 'react'],
      ['curl', 'curl'],
    ] as const) {
      await pick(page, name)
      const expected = linesFor(kind, demo.origin, true)
      expect(await lines(page).inputValue()).toBe(expected)
      await dialog(page).getByRole('button', { name: 'Copy the lines' }).click()
      await dialog(page).getByText('Copied.').waitFor()
      expect(await copied()).toBe(expected)
    }
    await pick(page, 'React')
    await page.keyboard.press('Enter')
    expect(page.url()).toBe(`${demo.origin}/`)
    // The package is not on npm before the first release.
    expect(await dialog(page).textContent()).not.toContain('npm install')
    await page.keyboard.press('Escape')
    await dialog(page).waitFor({ state: 'hidden' })
    expect(await page.evaluate('document.activeElement.id')).toBe('app-button')
    expect(tab.failures).toEqual([])
  })

  it('are selected if the browser does not allow copying', async () => {
    await using tab = await demo.open({ permissions: [] })
    const { page } = tab
    await page.evaluate(
      'navigator.clipboard.writeText = () => Promise.reject(new Error("refused"))',
    )
    await open(page)
    await dialog(page).getByRole('button', { name: 'Copy the lines' }).click()
    await dialog(page).getByText('It is selected.').waitFor()
    expect(await page.evaluate('String(getSelection())')).toBe(await lines(page).inputValue())
  })

  it('ask for a token as soon as the page needs one, and never contain it', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const token = await demo.token('files:list', 'files:read', 'files:upload')
    await page.getByRole('button', { name: 'Token', exact: true }).click()
    await page.getByRole('textbox', { name: 'Token or API key' }).fill(token)
    await page.keyboard.press('Enter')
    await page.locator('#access').waitFor({ state: 'hidden' })
    await open(page)
    for (const [name, kind] of [
      ['JavaScript', 'client'],
      ['React', 'react'],
      ['curl', 'curl'],
    ] as const) {
      await pick(page, name)
      expect(await lines(page).inputValue()).toBe(linesFor(kind, demo.origin, false))
    }
    expect(await page.content()).not.toContain(token)
    expect(await dialog(page).getByText("don't need").isVisible()).toBe(false)
  })

  it.each(['light', 'dark'] as const)('are accessible on every screen in %s', async (scheme) => {
    await using tab = await demo.open({ colorScheme: scheme })
    const { page } = tab
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 700 })
      await open(page)
      for (const name of ['curl', 'React', 'JavaScript']) {
        await pick(page, name)
        expect(await seriousFindings(page)).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
        const box = await dialog(page).boundingBox()
        expect(box?.x).toBeGreaterThanOrEqual(0)
        expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(width)
        // Only the lines themselves scroll sideways.
        expect(await dialog(page).evaluate((box) => box.scrollWidth - box.clientWidth)).toBe(0)
      }
      await dialog(page).getByRole('button', { name: 'Done' }).click()
      await dialog(page).waitFor({ state: 'hidden' })
    }
    expect(tab.failures).toEqual([])
  })

  it('come with links to pages and headings that exist', async () => {
    await using tab = await demo.open()
    const hrefs = await tab.page
      .locator('#app-dialog a')
      .evaluateAll((links) => links.map((link) => String(Reflect.get(link, 'href'))))
    expect(hrefs.length).toBeGreaterThan(3)
    for (const href of hrefs) {
      expect(href.startsWith(REPOSITORY)).toBe(true)
      const [path = '', id = ''] = href.slice(REPOSITORY.length).split('#')
      const file = path.replace(/^\/(?:blob|tree)\/main\//, '')
      const page = file === '' || !file.endsWith('.md') ? join(file, 'README.md') : file
      expect.soft(existsSync(join(ROOT, page)), href).toBe(true)
      if (id !== '' && id !== 'readme')
        expect.soft(headings(readPage(page)).map(fragment), href).toContain(id)
    }
  })

  describe.each([
    ['without a token', true],
    ['with a token', false],
  ])('%s', (_, isOpen) => {
    const bundle = async (entry: string, code: string, token: string): Promise<string> => {
      const modules: Readonly<Record<string, string>> = {
        entry,
        './lines': code,
        './file-token.js': `export const fileToken = () => ${JSON.stringify(token)}`,
      }
      const result = await build({
        entryPoints: ['entry'],
        bundle: true,
        write: false,
        format: 'esm',
        jsx: 'automatic',
        define: { 'process.env.NODE_ENV': '"production"' },
        nodePaths: [join(REACT, 'node_modules')],
        alias: {
          'edge-presigner-client/react': join(ROOT, 'client/src/react.ts'),
          'edge-presigner-client': join(ROOT, 'client/src/index.ts'),
        },
        plugins: [
          {
            name: 'lines',
            setup({ onResolve, onLoad }) {
              onResolve({ filter: /^(?:entry|\.\/lines|\.\/file-token\.js)$/ }, ({ path }) => ({
                path,
                namespace: 'lines',
              }))
              onLoad({ filter: /.*/, namespace: 'lines' }, ({ path }) => ({
                contents: modules[path] ?? '',
                loader: 'jsx',
                resolveDir: ROOT,
              }))
            },
          },
        ],
      })
      return result.outputFiles[0]?.text ?? ''
    }

    /** Opens an app with this script on another origin, and chooses a picture in its only field. */
    async function uploadWith(script: string, name: string): Promise<void> {
      await using app = createServer(({ url }, response) => {
        const isScript = url === '/app.js'
        response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
        response.end(isScript ? script : APP)
      })
      app.listen(0, '127.0.0.1')
      await once(app, 'listening')
      await using tab = await demo.open()
      const { page } = tab
      await page.goto(`http://localhost:${(app.address() as AddressInfo).port}/`)
      await page
        .locator('input')
        .setInputFiles({ name, mimeType: 'image/png', buffer: smallPng(64, 40) })
      // React's app also lists the files of earlier tests.
      const width = `[...document.images]
        .find(({ alt }) => alt === '' || alt === ${JSON.stringify(name)})?.naturalWidth`
      const shown = async () => [
        await page.evaluate(width),
        tab.failures.filter((failure) => !failure.includes('404')), // of an icon
      ]
      await expect.poll(shown).toEqual([64, []])
      app.closeAllConnections()
    }

    const token = () => demo.token('files:list', 'files:read', 'files:upload', 'links:create')

    it.each([
      ['JavaScript', 'client', "import './lines'"],
      [
        'React',
        'react',
        `import { createElement } from 'react'
import { flushSync } from 'react-dom'
import { createRoot } from 'react-dom/client'
import { Files } from './lines'
const root = createRoot(document.querySelector('main'))
flushSync(() => root.render(createElement(Files)))`,
      ],
    ] as const)('upload and show a picture with %s', async (title, kind, entry) => {
      if (kind === 'react') await shared('ownPackages', REACT)
      const name = `${title} ${isOpen}.png`
      const script = await bundle(entry, linesFor(kind, demo.origin, isOpen), await token())
      await uploadWith(script, name)
      await using tab = await demo.open()
      await tile(tab.page, name).waitFor()
    })

    it('work in a shell', async (context) => {
      if (await withoutCurl()) context.skip()
      const key = await demo.put('shell.txt')
      const script = linesFor('curl', demo.origin, isOpen)
      const output = await runShell(script, { TOKEN: await token() })
      expect(output).toContain('"uploadUrl":"http')
      expect(output).toContain(key)
    })
  })
})
