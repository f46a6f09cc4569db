import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../cli/ports.ts'
import { deadLinks } from '../../tools/site/dead-links.ts'
import { siteLink, sourcePages } from '../../tools/site/pages.ts'
import { connectChromium } from '../e2e/chromium.ts'
import { CHROMIUM, describeWith } from '../e2e/system-package.ts'
import { ROOT } from './support/markdown.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** The page that the site's search must show first, by what people type. */
const FIRST_PAGES = {
  'resize, thumbnail': 'pictures',
  'next.js': 'recipes/next',
  'expired token, quota': 'login',
  'revoke link, share, one-time link': 'share',
  cors: 'deploy',
  'delete user, gdpr, search': 'files',
  'webhook, virus scan': 'events',
  'SignatureDoesNotMatch, upload failed': 'troubleshooting',
  'avatar, replace file, large files': 'upload',
  clerk: 'recipes/login-providers',
  backup: 'import-and-repair',
  'monitoring, upgrade, rotate secret, move to another bucket': 'operate',
  'iam policy': 'security',
}
/** What a visitor loads for the first search. */
const MAX_INDEX_BYTES = 300_000

let folder: string
let server: Server
let origin: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'edge-presigner-'))
  const args = [join(ROOT, 'tools/dev/docs.ts'), 'build', '--outDir', folder]
  // Fails on a link to a page or heading that doesn't exist.
  await promisify(execFile)(process.execPath, args, { cwd: ROOT })
  const port = await freePort()
  origin = `http://127.0.0.1:${port}`
  server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', origin).pathname.replace(/\/$/, '/index.html')
    const body = await readFile(join(folder, path)).catch(() => null)
    response.writeHead(body === null ? 404 : 200, { 'Content-Type': TYPES[extname(path)] })
    response.end(body ?? (await readFile(join(folder, '404.html'))))
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(async () => {
  server?.close()
  await rm(folder, { recursive: true, force: true })
})

it('builds each page, with links that lead somewhere, and with valid types', async () => {
  expect(deadLinks(folder)).toEqual([])
  const home = await readFile(join(folder, 'index.html'), 'utf8')
  for (const page of sourcePages()) {
    const path = siteLink('README.md', page).replace(/\.md$/, '.html')
    if (!page.startsWith('docs/maintainers/')) expect(home, page).toContain(`href="${path}"`)
    const html = await readFile(join(folder, path.replace(/\/$/, '/index.html')), 'utf8')
    expect(html).toContain('/edit/main/')
    // VitePress goes on when a page can't be rendered, and leaves it empty.
    expect(html, page).toContain('<h1 ')
  }
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', join(ROOT, 'tools/site')])
})

it('has an index of the search that is loaded quickly', async () => {
  const chunks = await readdir(join(folder, 'assets/chunks'))
  const indexes = chunks.filter((name) => name.includes('localSearchIndex'))
  expect(indexes).toHaveLength(1)
  const { size } = await stat(join(folder, 'assets/chunks', indexes.join()))
  expect(size).toBeLessThanOrEqual(MAX_INDEX_BYTES)
})

describeWith([CHROMIUM], 'the site in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await connectChromium()
  })

  /** Runs `use` with a page, and expects no error and no request to another host. */
  async function withPage(options: BrowserContextOptions, use: (page: Page) => Promise<void>) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const failures: string[] = []
    page.on('pageerror', (error) => failures.push(String(error)))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) failures.push(message.text())
    })
    page.on('request', (request) => {
      if (!/^(?:data|blob):/.test(request.url()) && !request.url().startsWith(`${origin}/`))
        failures.push(request.url())
    })
    await use(page)
    await context.close()
    expect(failures).toEqual([])
  }

  it.each([
    { width: 1280, colorScheme: 'light' as const },
    { width: 390, colorScheme: 'dark' as const },
  ])('fits a screen of $width pixels, in $colorScheme mode', async ({ width, colorScheme }) => {
    await withPage({ viewport: { width, height: 800 }, colorScheme }, async (page) => {
      const pages = [
        '/',
        '/api.html',
        '/reference/files.html',
        '/maintainers/performance.html',
        '/client.html',
      ]
      for (const path of pages) {
        await page.goto(origin + path, { waitUntil: 'networkidle' })
        const [excess, classes] = await page.evaluate<[number, string]>(
          '[document.documentElement.scrollWidth - innerWidth, document.documentElement.className]',
        )
        expect(excess, path).toBe(0)
        expect(classes.includes('dark')).toBe(colorScheme === 'dark')
      }
    })
  })

  /** Searches for a text, and returns a function that reads the first `count` results. */
  async function search(page: Page, text: string, count: number) {
    await page.goto(origin, { waitUntil: 'networkidle' })
    await page.getByRole('button', { name: 'Search' }).first().click()
    await page.getByRole('searchbox').fill(text)
    return () =>
      page.evaluate<string[]>(
        `[...document.querySelectorAll('.results a')].slice(0, ${count}).map((a) => a.getAttribute('href'))`,
      )
  }

  it('finds a setting and an error code first, without a server', async () => {
    await withPage({}, async (page) => {
      for (const [text, target] of [
        ['uploadHeaders', '/configuration.html#headers-of-every-upload'],
        ['encoding_not_acceptable', '/troubleshooting.html#error-codes'],
      ] as const) {
        const first = await search(page, text, 2)
        await expect.poll(first, { timeout: 60_000 }).toContain(target)
        await page.locator(`.results a[href="${target}"]`).click()
        await page.waitForURL(origin + target)
      }
    })
  })

  it('finds the page of a task first, by the words that people use', async () => {
    await withPage({}, async (page) => {
      for (const [words, target] of Object.entries(FIRST_PAGES))
        for (const text of words.split(', ')) {
          const first = await search(page, text, 1)
          await expect
            .poll(first, { timeout: 60_000, message: text })
            .toEqual([expect.stringMatching(`^/${target}\\.html`)])
        }
    })
  })

  it.each(['performance', 'size', 'KV'])('finds pages for users first: %s', async (text) => {
    await withPage({}, async (page) => {
      const first = await search(page, text, 16)
      await expect.poll(first, { timeout: 60_000 }).not.toEqual([])
      const isForMaintainers = (await first()).map((path) => path.startsWith('/maintainers/'))
      expect(isForMaintainers).toContain(false)
      expect(isForMaintainers).toEqual(isForMaintainers.toSorted())
    })
  })

  it('finds a page for maintainers by what only it says', async () => {
    await withPage({}, async (page) => {
      const first = await search(page, 'keysets', 1)
      await expect
        .poll(first, { timeout: 60_000 })
        .toEqual([expect.stringMatching('^/maintainers/')])
    })
  })

  it('shows one tab at a time, and the text of the others after a click', async () => {
    await withPage({}, async (page) => {
      await page.goto(`${origin}/api.html`, { waitUntil: 'networkidle' })
      const group = page.locator('.vp-code-group').first()
      const visible = () => group.locator('.tab-block:visible pre').allTextContents()
      const first = await visible()
      expect(first.join()).toContain('createClient')
      await group.getByText('Worker', { exact: true }).click()
      await expect.poll(visible).not.toEqual(first)
      expect((await visible()).join()).toContain('curl')
    })
  })
})
