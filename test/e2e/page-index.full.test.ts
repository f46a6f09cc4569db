import { buffer } from 'node:stream/consumers'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { OwnWorker } from './built-worker.ts'
import { newTab } from './chromium.ts'
import { seriousFindings, tile } from './demo-page.ts'
import { startPageWorker } from './page-worker.ts'
import { shared } from './shared.ts'
import { CHROMIUM, describeWith } from './system-package.ts'
import { configWith } from './worker-config.ts'
import { readZip } from './zip-entries.ts'

const KEY = `ep_full_0123456789abcdef0123456789abcdef0123456789a`
const SCOPES = [
  'files:read',
  'files:list',
  'files:upload',
  'files:delete',
  'links:create',
  'keys:choose',
]
const OTHERS = 1500
/** The largest uploads, which are in folders of their own. */
const FILES: readonly (readonly [key: string, name: string, mimetype: string, bytes: number])[] = [
  ['uploads/a', 'Plan.txt', 'text/plain', 9000],
  ['uploads/b', 'Plan.txt', 'text/plain', 8000],
  ['invoices/2025/a', 'Rechnung für Zoë.pdf', 'application/pdf', 7000],
  ['invoices/2026/b', 'Rechnung März.pdf', 'application/pdf', 6000],
  ['invoices/c', 'Summe.png', 'image/png', 5000],
]
const WIDE = { width: 1280, height: 844 }
const PHONE = { width: 390, height: 844 }

const uploadSchema = z.object({ uploadUrl: z.string(), key: z.string() })
const shapeSchema = z.object({ near: z.int(), off: z.number(), isInView: z.boolean() })
const databaseSchema = z.object({
  prepare: z.custom<(sql: string) => { run(): Promise<unknown> }>((value) => value !== undefined),
})

describeWith([CHROMIUM], 'the page of a Worker with a D1 database, in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let worker: OwnWorker
  let browser: Browser

  beforeAll(async () => {
    const started = await startPageWorker(
      [{ id: 'full', token: KEY, scopes: SCOPES, prefix: '' }],
      async (directory) => configWith('d1_databases', directory, await shared('worker')),
    )
    stack.use(started)
    worker = started.worker
    browser = started.browser
    for (const [key, name, mimetype, bytes] of FILES.toReversed())
      await put(key, name, mimetype, 'x'.repeat(bytes))
    const database = databaseSchema.parse((await worker.bindings()).FILES_DB)
    // Objects have dates in whole seconds. The largest one becomes the newest.
    await database
      .prepare(
        `UPDATE presigner_files SET created_at =
          strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || ((9000 - size) / 1000) || ' seconds')`,
      )
      .run()
    // Many older records, without objects, in the folder of the first file.
    await database
      .prepare(
        `INSERT INTO presigner_files (bucket, key, name, size, mimetype, etag, owner, created_at, folded, tokens, folders)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${OTHERS})
        SELECT bucket, 'uploads/z' || n, 'Other ' || n || '.zip', n % 900, 'application/zip', etag, owner,
          strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (n / 50 + 1) || ' days', '-' || n || ' seconds'),
          'other ' || n || '.zip', tokens, folders
        FROM numbers, presigner_files WHERE key = 'uploads/a'`,
      )
      .run()
  })

  afterAll(() => stack.disposeAsync())

  const call = async (path: string, body: object): Promise<unknown> => {
    const headers = { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' }
    const response = await fetch(worker.origin + path, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`${path} answered ${await response.text()}`)
    return response.json()
  }

  /** Uploads and records a file without the page. */
  async function put(key: string, name: string, mimetype: string, text: string): Promise<void> {
    const { uploadUrl } = uploadSchema.parse(await call('/files/upload-url', { mimetype, key }))
    const headers = { 'Content-Type': mimetype }
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: text })).ok).toBe(true)
    await call('/files', { key, name })
  }

  interface Tab extends AsyncDisposable {
    readonly page: Page
    readonly failures: readonly string[]
  }

  /** Opens the page in a new tab. `script` runs before it. */
  async function open(script = ''): Promise<Tab> {
    const { context, page, failures } = await newTab(browser, { viewport: WIDE })
    await page.addInitScript(`sessionStorage.setItem('token', '${KEY}')\n${script}`)
    await page.goto(worker.origin)
    await page.locator('#files[aria-busy=false]').waitFor({ state: 'attached' })
    return { page, failures, [Symbol.asyncDispose]: () => context.close() }
  }

  /** Checks what is shown on a desktop and on a phone, in light and dark. */
  async function expectAccessible(page: Page): Promise<void> {
    for (const [viewport, colorScheme] of [
      [PHONE, 'dark'],
      [WIDE, 'light'],
    ] as const) {
      await page.setViewportSize(viewport)
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      expect(await seriousFindings(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width)
    }
  }

  const search = (page: Page) => page.getByRole('searchbox', { name: 'Search names' })
  const totals = (page: Page, text: string) =>
    page.locator('#totals').getByText(text, { exact: true }).waitFor()
  const names = (page: Page): Promise<string[]> => page.locator('.file-name').allTextContents()
  const firstNames = (page: Page) => names(page).then((all) => all.slice(0, 2))
  const focused = (page: Page) => page.evaluate<string>('document.activeElement.textContent.trim()')

  it('searches and sorts all files, not only those that are loaded', async () => {
    await using tab = await open()
    const { page } = tab
    await totals(page, '1,505 files, 619.8 kB')
    expect((await names(page)).slice(0, 5)).toEqual(FILES.map(([, name]) => name))
    await search(page).fill('other 1499')
    await totals(page, '1 file found')
    expect(await names(page)).toEqual(['Other 1499.zip'])
    await search(page).fill('MARZ rech')
    await expect.poll(() => names(page)).toEqual(['Rechnung März.pdf'])

    await search(page).fill('no such name')
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor()
    await page.getByText('No file has “no such name” in its name.').waitFor()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Show all files' }).press('Enter')
    await totals(page, '1,505 files, 619.8 kB')
    expect(await page.evaluate('document.activeElement.id')).toBe('files-search')

    const order = page.getByRole('combobox', { name: 'Order' })
    await order.selectOption('Oldest first')
    await expect.poll(() => firstNames(page)).toEqual(['Other 1500.zip', 'Other 1499.zip'])
    await order.selectOption('Largest first')
    await expect.poll(() => firstNames(page)).toEqual(['Plan.txt', 'Plan.txt'])
    await page.getByRole('combobox', { name: 'Kind' }).selectOption('Pictures')
    await expect.poll(() => names(page)).toEqual(['Summe.png'])
    // The API has no such type, so the page looks among what it has loaded.
    await page.getByRole('combobox', { name: 'Kind' }).selectOption('Documents')
    await page.getByText('4 files match among the first 48. Others are not loaded yet.').waitFor()
    expect(await page.locator('#totals').textContent()).toBe('')
    expect(tab.failures).toEqual([])
  })

  it('drops the answer to an earlier question', async () => {
    await using tab = await open()
    const { page } = tab
    const held: Route[] = []
    await page.route('**/files?*q=summe*', (route) => {
      held.push(route)
    })
    await search(page).fill('summe')
    await expect.poll(() => held.length).toBe(1)
    await search(page).fill('marz')
    await totals(page, '1 file found')
    const answered = page.waitForResponse('**/files?*q=summe*')
    await held[0]?.continue()
    await (await answered).finished()
    await page.evaluate('new Promise((resolve) => setTimeout(resolve))')
    expect(await names(page)).toEqual(['Rechnung März.pdf'])
    expect(tab.failures).toEqual([])
  })

  it('does not show the count of an earlier search after one that failed', async () => {
    await using tab = await open()
    const { page } = tab
    await search(page).fill('summe')
    await totals(page, '1 file found')
    await page.route('**/files?*q=broken*', (route) =>
      route.fulfill({ status: 503, json: { code: 'index_unavailable', message: 'Try again.' } }),
    )
    await search(page).fill('broken')
    await page.locator('#files-error').getByText('Try again.').waitFor()
    expect(await page.locator('#totals').textContent()).toBe('')
    await search(page).fill('summe')
    await totals(page, '1 file found')
  })

  it('opens folders by keyboard, and goes back by the path', async () => {
    await using tab = await open()
    const { page } = tab
    const folders = () => page.locator('.folder bdi').allTextContents()
    await page.getByRole('button', { name: 'Folders' }).press('Enter')
    await expect.poll(folders).toEqual(['invoices', 'uploads'])
    await page.getByRole('button', { name: 'invoices 3 files, 18 kB' }).press('Enter')
    await totals(page, '3 files, 18 kB')
    expect(await focused(page)).toBe('invoices')
    await expect.poll(folders).toEqual(['2025', '2026'])
    expect(await names(page)).toEqual(['Summe.png'])
    await expectAccessible(page)
    await search(page).fill('rechnung')
    await totals(page, '2 files found')
    expect(await folders()).toEqual([])
    await page.getByRole('button', { name: 'Clear search' }).click()
    await page.getByRole('button', { name: '2025 1 file, 7 kB' }).click()
    await totals(page, '1 file, 7 kB')
    await page.getByRole('button', { name: 'invoices', exact: true }).press('Enter')
    await totals(page, '3 files, 18 kB')

    // A new file elsewhere is not in this folder, but one here is.
    await page.reload()
    await totals(page, '1,505 files, 619.8 kB')
    await expect.poll(folders).toEqual(['invoices', 'uploads'])
    await page.getByRole('button', { name: 'Folders', pressed: true }).click()
    await tile(page, 'Summe.png').waitFor()
    expect(await folders()).toEqual([])
    expect(tab.failures).toEqual([])
  })

  it('shows the usage as a picture and as tables', async () => {
    await using tab = await open()
    const { page } = tab
    await page.getByRole('button', { name: 'Usage' }).press('Enter')
    const panel = page.getByRole('dialog', { name: 'Usage' })
    await panel.getByText('1,505 files, 619.8 kB', { exact: true }).waitFor()
    await panel.getByRole('img', { name: / in 30 days, most on / }).waitFor()
    expect(await panel.locator('rect').count()).toBe(30)
    await panel.getByText('Show as a table').press('Enter')
    await expectAccessible(page)
    await panel.getByLabel('90 days').check()
    await panel.getByRole('img', { name: /^619\.8 kB in 90 days, most on / }).waitFor()
    await panel.getByText('Show as a table').click()
    await panel.getByRole('table').first().waitFor()
    await panel.getByRole('row', { name: 'application/pdf 2 13 kB' }).waitFor()
    await panel.getByRole('row', { name: 'API key full 1,505 619.8 kB' }).waitFor()
    await page.keyboard.press('Escape')
    expect(await focused(page)).toBe('Usage')

    await page.route('**/stats?*', (route) =>
      route.fulfill({ status: 503, json: { code: 'index_unavailable', message: 'Try again.' } }),
    )
    await page.getByRole('button', { name: 'Usage' }).press('Enter')
    await panel.getByRole('alert').getByText('Try again.').waitFor()
    expect(await panel.getByRole('row').count()).toBe(0)
  })

  it('lays out only the files near the screen, however many are loaded', async () => {
    await using tab = await open()
    const { page } = tab
    await page.route('**/files?*limit=48*', (route) =>
      route.continue({ url: route.request().url().replace('limit=48', 'limit=510') }),
    )
    await page.reload()
    const loaded = () =>
      page.evaluate<number>(
        `scrollTo(0, document.documentElement.scrollHeight), document.querySelectorAll('.file').length`,
      )
    await expect.poll(loaded, { timeout: 60_000, interval: 20 }).toBeGreaterThan(500)
    const shape = await page.evaluate(`new Promise((done) => requestAnimationFrame(() => {
      const list = document.querySelector('#files')
      const near = [...list.querySelectorAll('.file:not(.is-far)')]
      const { height } = near[0].getBoundingClientRect()
      const { gridTemplateColumns, rowGap } = getComputedStyle(list)
      const rows = Math.ceil(list.querySelectorAll('.file').length / gridTemplateColumns.split(' ').length)
      done({
        near: near.length,
        off: Math.abs(list.getBoundingClientRect().height - rows * (height + parseFloat(rowGap))),
        isInView: near.at(-1).getBoundingClientRect().top < innerHeight + 1500,
      })
    }))`)
    const { near, off, isInView } = shapeSchema.parse(shape)
    expect(near).toBeLessThan(150)
    expect(off).toBeLessThan(500) // the row gap at the end, and a page that is about to load
    expect(isInView).toBe(true)
    const changes = await page.evaluate(`new Promise((done) => {
      let changes = 0
      const list = document.querySelector('#files')
      scrollBy(0, -2000)
      const count = new MutationObserver((all) => (changes += all.length))
      const step = (left) => {
        if (left === 5) count.observe(list, { attributes: true, subtree: true })
        if (left === 0) return done(changes)
        scrollBy(0, -1)
        requestAnimationFrame(() => requestAnimationFrame(() => step(left - 1)))
      }
      // Not while another page of files arrives.
      let last = performance.now()
      const quiet = new MutationObserver(() => (last = performance.now()))
      quiet.observe(list, { attributes: true, childList: true, subtree: true })
      const start = () => {
        if (performance.now() - last < 1000) return requestAnimationFrame(start)
        quiet.disconnect()
        step(8)
      }
      start()
    })`)
    expect(changes).toBe(0) // the same rows are near
    await page.evaluate('scrollTo(0, 0)')
    await tile(page, 'Summe.png').getByRole('link').focus()
    await page.keyboard.press('Control+a')
    await page.getByRole('region', { name: 'Selected files' }).getByText('selected').waitFor()
    expect(await page.locator('.is-selected').count()).toBeGreaterThan(500)
    const first = page.locator('.file').first()
    expect(await first.getAttribute('aria-posinset')).toBe('1')
    expect(Number(await first.getAttribute('aria-setsize'))).toBeGreaterThan(500)
    expect(tab.failures).toEqual([])
  })

  describe('a ZIP of the selection', () => {
    /** Selects the first five files, and starts. */
    async function zip(page: Page): Promise<void> {
      for (const [, name] of FILES.slice(1))
        await tile(page, name).last().getByRole('checkbox').check({ force: true })
      await tile(page, 'Plan.txt').first().getByRole('checkbox').check({ force: true })
      await page.getByRole('button', { name: 'Download all' }).click()
    }
    const WITHOUT_PICKER = 'delete globalThis.showSaveFilePicker'
    const dialog = (page: Page) => page.getByRole('dialog', { name: 'Download as a ZIP' })
    const object = (key: string) => new RegExp(`:\\d+/[^/]+/${key}\\?`)
    const CORS = { 'Access-Control-Allow-Origin': '*' }

    it('has every file under its own name', async () => {
      await using tab = await open(WITHOUT_PICKER)
      const { page } = tab
      // The first URL has expired by the bucket's clock.
      let asked = 0
      await page.route(object('uploads/b'), (route) =>
        asked++ === 0 ? route.fulfill({ status: 403, headers: CORS }) : route.continue(),
      )
      const downloading = page.waitForEvent('download')
      await zip(page)
      const download = await downloading
      expect(download.suggestedFilename()).toMatch(/^files-\d{4}-\d\d-\d\d\.zip$/)
      const entries = readZip(await buffer(await download.createReadStream()))
      expect(entries.map(({ name, text }) => [name, text.length])).toEqual([
        ['Plan.txt', 9000],
        ['Plan (2).txt', 8000],
        ['Rechnung für Zoë.pdf', 7000],
        ['Rechnung März.pdf', 6000],
        ['Summe.png', 5000],
      ])
      await page.locator('#notice').getByText('5 files saved in a ZIP.').waitFor()
      expect(asked).toBe(2)
    })

    it('says which file it lacks, also in itself', async () => {
      await using tab = await open(WITHOUT_PICKER)
      const { page } = tab
      await page.route(object('uploads/b'), (route) =>
        route.fulfill({ status: 404, headers: CORS }),
      )
      const downloading = page.waitForEvent('download')
      await zip(page)
      const entries = readZip(await buffer(await (await downloading).createReadStream()))
      expect(entries.map(({ name }) => name)).toEqual([
        'Plan.txt',
        'Rechnung für Zoë.pdf',
        'Rechnung März.pdf',
        'Summe.png',
        'Missing files.txt',
      ])
      expect(entries.at(-1)?.text).toBe('Plan (2).txt: It was deleted.\n')
      await dialog(page).getByText('4 files saved in a ZIP. 1 file could not').waitFor()
      expect(await dialog(page).getByRole('listitem').textContent()).toBe(
        'Plan (2).txt: It was deleted.',
      )
      await expectAccessible(page)
      await dialog(page).getByRole('button', { name: 'Close' }).click()
    })

    it('is written to the file that the user chooses, and can be canceled', async () => {
      // The browser's own dialog can't be driven, but a file of the page is of the same kind.
      await using tab = await open(`globalThis.showSaveFilePicker = async () =>
        (await navigator.storage.getDirectory()).getFileHandle('picked.zip', { create: true })`)
      const { page } = tab
      const picked = `navigator.storage.getDirectory().then(async (folder) => {
        const handle = await folder.getFileHandle('picked.zip').catch(() => null)
        return handle && (await handle.getFile()).size
      })`
      let isHeld = false
      await page.route(object('uploads/b'), () => {
        isHeld = true
      })
      await zip(page)
      await expect.poll(() => isHeld).toBe(true)
      await expectAccessible(page)
      await dialog(page).getByRole('button', { name: 'Cancel' }).press('Enter')
      await dialog(page).waitFor({ state: 'hidden' })
      await expect.poll(() => page.evaluate(picked)).toBe(null)
      await page.unroute(object('uploads/b'))
      await page.getByRole('button', { name: 'Download all' }).click()
      await page.locator('#notice').getByText('5 files saved in a ZIP.').waitFor()
      expect(await page.evaluate(picked)).toBeGreaterThan(35_000)
      expect(tab.failures).toEqual([])
    })

    it('is not saved if a file ends early, or the API signs nothing', async () => {
      await using tab = await open(`${WITHOUT_PICKER}
        const real = fetch
        globalThis.fetch = async (input, init) => {
          const response = await real(input, init)
          if (!String(input).includes('/uploads/b?')) return response
          let chunks = 0
          const pull = (controller) =>
            chunks++ ? controller.error(new TypeError('lost')) : controller.enqueue(new Uint8Array(9))
          return new Response(new ReadableStream({ pull }))
        }`)
      const { page } = tab
      let downloads = 0
      page.on('download', () => {
        downloads++
      })
      await zip(page)
      await page.locator('#notice').getByText('“Plan (2).txt” ended early').waitFor()
      await dialog(page).waitFor({ state: 'hidden' })
      let asked = 0
      await page.route('**/files/urls', (route) => {
        asked++
        return route.fulfill({ status: 400, json: { code: 'invalid_request', message: 'Not so.' } })
      })
      await page.getByRole('button', { name: 'Download all' }).click()
      await page.locator('#notice').getByText('Not so.').waitFor()
      expect([asked, downloads]).toEqual([1, 0])
    })

    it('is refused where the browser would keep too much in memory', async () => {
      await using tab = await open(WITHOUT_PICKER)
      const { page } = tab
      await page.route('**/files?*', async (route) => {
        const response = await route.fetch()
        const text = await response.text()
        await route.fulfill({ response, body: text.replaceAll('"size":9000', '"size":1000000001') })
      })
      await page.reload()
      await zip(page)
      await page.locator('#notice').getByText('This browser keeps a ZIP in memory').waitFor()
      expect(tab.failures).toEqual([])
    })
  })

  it('shows nothing of it for an index that does not answer', async () => {
    await using tab = await open()
    const { page } = tab
    await page.route('**/limits', async (route) => {
      const response = await route.fetch()
      const text = await response.text()
      await route.fulfill({ response, body: text.replace('"answers":true', '"answers":false') })
    })
    const asked = page.waitForRequest('**/files?*')
    await page.reload()
    expect(new URL((await asked).url()).search).toBe('?limit=48')
    await page.getByRole('checkbox', { name: 'Select Summe.png' }).check({ force: true })
    for (const name of ['Folders', 'Usage'])
      expect(await page.getByRole('button', { name }).count()).toBe(0)
  })

  it('shows what changes while the answer to a search is on its way', async () => {
    await using tab = await open()
    const { page } = tab
    let release = () => {}
    let isHeld = false
    await page.route('**/files?*q=plan*', async (route) => {
      const response = await route.fetch() // the index answers before the upload
      isHeld = true
      await new Promise<void>((resolve) => {
        release = resolve
      })
      await route.fulfill({ response })
    })
    await search(page).fill('plan')
    await expect.poll(() => isHeld).toBe(true)
    const file = { name: 'plan of today.txt', mimeType: 'text/plain', buffer: Buffer.from('x') }
    const linked = page.waitForResponse('**/links')
    await page.locator('#uploader input[type=file]').first().setInputFiles(file)
    await (await linked).finished()
    release()
    await totals(page, '3 files found')
    expect(await names(page)).toEqual(['plan of today.txt', 'Plan.txt', 'Plan.txt'])
    await tile(page, 'plan of today.txt').getByRole('checkbox').check({ force: true })
    await page.getByRole('region', { name: 'Selected files' }).getByText('Delete…').click()
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await totals(page, '2 files found')
    expect(tab.failures).toEqual([])
  })
})
