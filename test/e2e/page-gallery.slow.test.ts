import { buffer } from 'node:stream/consumers'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { chooseByKeyboard } from './chromium.ts'
import { type DemoPage, type DemoTab, seriousFindings, startDemoPage, tile } from './demo-page.ts'
import { photoPng } from './photo.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'
import { silentWav } from './wav.ts'
import { readZip } from './zip-entries.ts'

const PHOTOS = 39
const NOTES = 12
const VIEWS = ['View 1.png', 'View 2.png'] as const
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, hasTouch: true }
/** WebP is larger than AVIF, and a busy machine makes it thirty times as fast. */
const WITHOUT_AVIF = { Accept: 'image/webp,*/*;q=0.8' }
const SCHEMES = ['light', 'dark'] as const

const nameOf = (index: number): string => `Photo ${String(index).padStart(2, '0')}.png`
const names = (page: Page): Promise<string[]> =>
  page.locator('.file:not([hidden]) .file-name').allTextContents()
const focused = (page: Page): Promise<string> =>
  page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()')
const viewer = (page: Page) => page.locator('#viewer')
const shownName = (page: Page): Promise<string | null> => page.locator('#viewer-name').textContent()
/** Waits until the viewer has replaced the thumbnail. */
const loaded = (page: Page) => page.locator('#viewer-media:not(.is-loading) > *').first().waitFor()

const edgesSchema = z.object({ left: z.number(), right: z.number() })
const boxesSchema = z.tuple([edgesSchema, edgesSchema])

/** The bytes that the page has loaded, with its own files, and how far it has moved. */
const transferred = async (page: Page) =>
  z.object({ all: z.number(), shift: z.number() }).parse(
    await page.evaluate(`(async () => {
      const entries = performance.getEntriesByType('resource')
      // Each page has an entry for its navigation, which comes together with those for shifts.
      const entered = await new Promise((resolve) => {
        const observer = new PerformanceObserver((list) => resolve(list.getEntries()))
        for (const type of ['layout-shift', 'navigation']) observer.observe({ type, buffered: true })
      })
      const shifts = entered.filter(({ entryType }) => entryType === 'layout-shift')
      return {
        all: entries.reduce((sum, { transferSize }) => sum + transferSize, 0),
        shift: shifts.reduce((sum, { value }) => sum + value, 0),
      }
    })()`),
  )

describeWith([CHROMIUM], 'the gallery of the page in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let demo: DemoPage

  beforeAll(async () => {
    demo = stack.use(await startDemoPage())
    const photos = Array.from({ length: PHOTOS / 3 }, (_, seed) => photoPng(seed))
    // The newest one is large on the page. Its AVIF must not take ten seconds on a busy machine.
    photos[PHOTOS / 3 - 1] = photoPng(PHOTOS, true)
    for (let index = 0; index < PHOTOS; index++)
      await demo.put(nameOf(index), 'image/png', photos[index % photos.length])
  })

  afterAll(() => stack.disposeAsync())

  /** Opens the page, and waits until all pictures that it loads are complete. */
  async function visit(options: BrowserContextOptions, isWhole: boolean): Promise<DemoTab> {
    const tab = await demo.open(options)
    if (isWhole)
      for (const picture of await tab.page.locator('.preview img').all())
        await picture.scrollIntoViewIfNeeded()
    await tab.page.locator('.preview img.is-loaded').first().waitFor()
    await tab.page.waitForLoadState('networkidle')
    return tab
  }

  it.each([
    ['a gallery of 39 photos', { viewport: { width: 1280, height: 900 } }, true, 1_500_000],
    ['the first screen of a phone', PHONE, false, 400_000],
  ] as const)(
    'loads little for %s, and shifts nothing',
    async (_, options, isWhole, limit) => {
      const shifts: number[] = []
      const measure = async () => {
        await using tab = await visit({ ...options, extraHTTPHeaders: WITHOUT_AVIF }, isWhole)
        const { all, shift } = await transferred(tab.page)
        if (isWhole) expect(await tab.page.locator('.preview img.is-loaded').count()).toBe(PHOTOS)
        expect(tab.failures).toEqual([])
        shifts.push(shift)
        return all
      }
      // On a busy machine, the first resizing may take so long that the original takes its place.
      await expect.poll(measure, { timeout: 100_000, interval: 100 }).toBeLessThan(limit)
      expect(Math.max(...shifts)).toBeLessThan(0.05)
    },
    120_000,
  )

  it('reserves the place of a picture, and shows an icon if it is broken', async () => {
    const name = 'broken.png'
    await demo.put(name, 'image/png', 'not a picture')
    await using tab = await demo.open()
    await tile(tab.page, name).locator('.symbol').waitFor()
    const image = tile(tab.page, nameOf(PHOTOS - 1)).locator('img')
    const attributes = ['width', 'height', 'loading'].map((each) => image.getAttribute(each))
    expect(await Promise.all(attributes)).toEqual(['320', '240', 'lazy'])
    const large = await tile(tab.page, name).boundingBox()
    const other = await tile(tab.page, nameOf(0)).boundingBox()
    expect(large?.width).toBe(other?.width) // the newest file is only large if it is a picture
  })

  it('shows a picture in the size of the screen, with its details, until Back', async () => {
    // Plain pictures, which the Worker resizes quickly.
    for (const name of VIEWS) await demo.put(name, 'image/png', new Uint8Array(smallPng(1000, 750)))
    await using tab = await demo.open({ viewport: { width: 700, height: 600 } })
    const { page } = tab
    const [second, first] = VIEWS
    await page.getByRole('link', { name: first }).press('Enter')
    await loaded(page)
    const picture = viewer(page).getByRole('img', { name: first })
    const size = () => picture.evaluate((image) => Reflect.get(image, 'naturalWidth'))
    await expect.poll(size).toBe(750) // of 1000
    expect(await picture.getAttribute('src')).toContain('w=750')
    const box = await picture.boundingBox()
    expect(box?.width).toBeLessThanOrEqual(700)
    expect(box?.height).toBeLessThanOrEqual(600)

    await page.keyboard.press('ArrowRight')
    await viewer(page).getByRole('img', { name: second }).waitFor()
    await page.keyboard.press('ArrowLeft')
    await viewer(page).getByRole('img', { name: first }).waitFor()
    await page.getByRole('button', { name: 'Next file' }).click()
    await viewer(page).getByRole('img', { name: second }).waitFor()

    await page.getByRole('button', { name: 'Details' }).click()
    const details = await page.locator('#viewer-details').textContent()
    for (const text of [
      second,
      /uploads\/\w+-view/,
      'image/png',
      /[\d.]+ kB \([\d,]+ bytes\)/,
      /"\w{32}"/,
    ])
      expect(details).toMatch(text)
    expect(details).toContain('Ownerlocal user')

    for (const key of ['Tab', 'Shift+Tab'])
      for (let count = 0; count < 9; count++) {
        await page.keyboard.press(key)
        expect(await viewer(page).evaluate((box) => box.matches(':focus-within'))).toBe(true)
      }
    await page.goBack()
    await viewer(page).waitFor({ state: 'hidden' })
    expect(page.url()).toBe(`${demo.origin}/`)
    await expect.poll(() => focused(page)).toBe(second)

    await page.keyboard.press('Enter')
    await loaded(page)
    await page.keyboard.press('Escape')
    await viewer(page).waitFor({ state: 'hidden' })
    await expect.poll(() => focused(page)).toBe(second)
    expect(tab.failures).toEqual([])
  })

  it('shows the next file after a swipe', async () => {
    await using tab = await demo.open(PHONE)
    const { page } = tab
    const session = await page.context().newCDPSession(page)
    const swipe = async (from: number, to: number) => {
      const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', x?: number) =>
        session.send('Input.dispatchTouchEvent', {
          type,
          touchPoints: x === undefined ? [] : [{ x, y: 300 }],
        })
      await send('touchStart', from)
      await send('touchMove', (from + to) / 2)
      await send('touchMove', to)
      await send('touchEnd')
    }
    const [second, first] = VIEWS
    await page.getByRole('link', { name: first }).tap()
    await loaded(page)
    await swipe(300, 100)
    await expect.poll(() => shownName(page)).toBe(second)
    await swipe(100, 300)
    await expect.poll(() => shownName(page)).toBe(first)
    await swipe(200, 190)
    expect(await shownName(page)).toBe(first)
    expect(tab.failures).toEqual([])
  })

  it('plays sound and video with controls, and says that there is no preview of other files', async () => {
    await using tab = await demo.open()
    const { page } = tab
    // A video of half a second, by Chromium itself. A recorder records in real time.
    const base64 = z.string().parse(
      await page.evaluate(`(async () => {
        const canvas = document.createElement('canvas')
        const context = canvas.getContext('2d')
        const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: 'video/webm' })
        const chunks = []
        recorder.ondataavailable = ({ data }) => chunks.push(data)
        const stopped = new Promise((resolve) => { recorder.onstop = resolve })
        recorder.start()
        for (let frame = 0; frame < 10; frame++) {
          context.fillStyle = 'hsl(' + 36 * frame + ' 80% 50%)'
          context.fillRect(0, 0, 300, 150)
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
        recorder.stop()
        await stopped
        return (await new Blob(chunks).bytes()).toBase64()
      })()`),
    )
    await demo.put('clip.webm', 'video/webm', new Uint8Array(Buffer.from(base64, 'base64')))
    await demo.put('sound.wav', 'audio/wav', new Uint8Array(silentWav(1)))
    await demo.put('notes.zip', 'application/zip')
    await page.reload()
    for (const [name, selector] of [
      ['clip.webm', 'video[controls]'],
      ['sound.wav', 'audio[controls]'],
    ] as const) {
      await page.getByRole('link', { name }).click()
      const player = viewer(page).locator(selector)
      await expect
        .poll(() => player.evaluate((media) => Reflect.get(media, 'readyState')))
        .toBeGreaterThan(0)
      expect(await seriousFindings(page)).toEqual([])
      await page.getByRole('button', { name: 'Close' }).click()
    }
    await page.getByRole('link', { name: 'notes.zip' }).click()
    await viewer(page).getByRole('link', { name: 'Open in a new tab' }).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    expect(tab.failures).toEqual([])
  })

  it('copies a link for a day, downloads and deletes in the viewer', async () => {
    await using tab = await demo.open({ permissions: ['clipboard-read', 'clipboard-write'] })
    const { page } = tab
    await page.getByRole('link', { name: nameOf(38) }).click()
    await loaded(page)
    const before = Date.now() / 1000
    await page.getByRole('button', { name: 'Copy a link, valid for a day' }).click()
    await viewer(page)
      .getByText(`Link to ${nameOf(38)} copied. It works until`)
      .waitFor()
    const link = new URL(String(await page.evaluate('navigator.clipboard.readText()')))
    const expiry = Number(link.searchParams.get('exp'))
    expect(expiry - before).toBeGreaterThan(86_400 - 1)
    expect(expiry - Date.now() / 1000).toBeLessThan(86_400 + 300)
    expect((await fetch(link)).headers.get('content-type')).toBe('image/png')

    const downloading = page.waitForEvent('download')
    await viewer(page).getByRole('button', { name: 'Download' }).click()
    expect((await downloading).suggestedFilename()).toBe(nameOf(38))

    await viewer(page).getByRole('button', { name: 'Delete…' }).click()
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await viewer(page)
      .getByText(`Deleted ${nameOf(38)}.`)
      .waitFor()
    expect(await shownName(page)).toBe(nameOf(37))
    await page.goBack()
    expect(await names(page)).not.toContain(nameOf(38))
    expect(tab.failures).toEqual([])
  })

  it('selects by click, Shift and keyboard, copies the links, and deletes in one request', async () => {
    await using tab = await demo.open({ permissions: ['clipboard-read', 'clipboard-write'] })
    const { page } = tab
    const box = (index: number) => page.getByRole('checkbox', { name: `Select ${nameOf(index)}` })
    const bar = page.getByRole('region', { name: 'Selected files' })
    const count = (text: string) => bar.getByText(text, { exact: true }).waitFor()
    await box(30).check({ force: true })
    await count('1 selected')
    await page.getByRole('link', { name: nameOf(27) }).click({ modifiers: ['Shift'] })
    await count('4 selected')
    await page.getByRole('link', { name: nameOf(28) }).click()
    await count('3 selected')
    expect(await viewer(page).isVisible()).toBe(false)
    await box(25).focus()
    await page.keyboard.press('Space')
    await count('4 selected')
    await bar.getByRole('button', { name: 'Copy links' }).click()
    await page.locator('#notice').getByText('Links to 4 files copied.').waitFor()
    await page.evaluate('delete globalThis.showSaveFilePicker')
    const downloading = page.waitForEvent('download')
    await bar.getByRole('button', { name: 'Download all' }).click()
    const zip = readZip(await buffer(await (await downloading).createReadStream()))
    expect(zip.map(({ name }) => name)).toEqual([30, 29, 27, 25].map(nameOf))
    await page.locator('#notice').getByText('4 files saved in a ZIP.').waitFor()
    const links = String(await page.evaluate('navigator.clipboard.readText()')).split('\n')
    const statuses = links.map(async (link) => (await fetch(link, { method: 'HEAD' })).status)
    expect(await Promise.all(statuses)).toEqual([200, 200, 200, 200])

    await page.keyboard.press('Escape')
    expect(await bar.isVisible()).toBe(false)
    await box(30).check({ force: true })
    await box(29).check({ force: true })
    const requests: string[] = []
    page.on('request', (request) => {
      if (request.method() !== 'GET') requests.push(new URL(request.url()).pathname)
    })
    await page.keyboard.press('Delete')
    await page.getByRole('heading', { name: 'Delete 2 files?' }).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await page.locator('#notice').getByText('Deleted 2 files.').waitFor()
    expect(requests).toEqual(['/files/delete'])
    expect(await names(page)).not.toContain(nameOf(30))
    await page.reload()
    await tile(page, nameOf(31)).waitFor()
    expect(await names(page)).not.toContain(nameOf(29))
    await page.getByRole('link', { name: nameOf(31) }).focus()
    await page.keyboard.press('Control+a')
    await count(`${(await names(page)).length} selected`)
    expect(tab.failures).toEqual([])
  })

  it.each([{ width: 1280, height: 700 }, PHONE.viewport])(
    'shows what was done without covering any text, at %o',
    async (viewport) => {
      await using tab = await demo.open({
        viewport,
        permissions: ['clipboard-read', 'clipboard-write'],
      })
      const { page } = tab
      await page.getByRole('button', { name: `Actions for ${nameOf(20)}` }).click()
      await page.getByRole('button', { name: 'a day' }).click()
      const notice = page.locator('#notice')
      await notice.getByText(`Link to ${nameOf(20)} copied.`).waitFor()
      const boxOf = async (selector: string) => {
        const box = await page.locator(selector).boundingBox()
        const { x = 0, y = 0, width = 0, height = 0 } = box ?? {}
        return { left: x, top: y, right: x + width, bottom: y + height }
      }
      const [said, bar] = [await boxOf('#notice'), await boxOf('.bar')]
      expect(bar.top).toBe(0)
      expect(said.bottom).toBeLessThanOrEqual(bar.bottom)
      expect(said.right).toBeLessThanOrEqual(viewport.width)
      for (const selector of ['.brand', '#access-button', '#theme-button']) {
        const other = await boxOf(selector)
        const isBeside = other.right <= said.left || other.left >= said.right
        expect(isBeside || other.bottom <= said.top).toBe(true)
      }
    },
  )

  it('searches names and filters kinds, and says what is not loaded yet', async () => {
    for (let index = 0; index < NOTES; index++) await demo.put(`Über ${index}.txt`)
    await using tab = await demo.open({ viewport: { width: 1280, height: 500 } })
    const { page } = tab
    const before = await names(page)
    expect(before.length).toBe(48)
    const lists: string[] = []
    page.on('request', (request) => {
      if (request.url().includes('/files?')) lists.push(request.url())
    })
    await page.getByRole('searchbox', { name: 'Search names' }).fill('uber 1')
    await page
      .getByText('3 files match among the 48 newest. Older files are not loaded yet.')
      .waitFor()
    expect(await names(page)).toEqual(['Über 11.txt', 'Über 10.txt', 'Über 1.txt'])
    // The end of the list is in view now. An observer reports it within two frames.
    const frame = 'new Promise((resolve) => requestAnimationFrame(resolve))'
    for (let count = 0; count < 4; count++) await page.evaluate(frame)
    expect(lists).toEqual([])
    await page.getByRole('button', { name: 'Load more files' }).click()
    await page.getByText('3 files match.', { exact: true }).waitFor()
    // Each file's content is its name in UTF-8.
    expect(await page.locator('#files-count').textContent()).toBe('3 · 35 bytes')
    await page.getByRole('checkbox', { name: 'Select Über 11.txt' }).check({ force: true })
    const bar = page.getByRole('region', { name: 'Selected files' })
    await bar.getByText('12 bytes', { exact: true }).waitFor()
    await bar.getByRole('button', { name: 'Select all' }).click()
    await bar.getByText('35 bytes', { exact: true }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('searchbox', { name: 'Search names' }).fill('no such name')
    await page.getByText('No file matches.').waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Clear search' }).press('Enter')
    expect(await focused(page)).toBe('Search names')
    expect(await page.getByRole('button', { name: 'Clear search' }).isVisible()).toBe(false)
    expect((await names(page)).length).toBeGreaterThan(48)
    await page.getByRole('combobox', { name: 'Kind' }).selectOption('Videos')
    await page.getByText('1 file matches.').waitFor()
    expect(await names(page)).toEqual(['clip.webm'])
    await page.getByRole('link', { name: 'clip.webm' }).click()
    expect(await page.getByRole('button', { name: 'Next file' }).isVisible()).toBe(false)
    expect(tab.failures).toEqual([])
  })

  // @threat name-hidden
  it('shows the beginning of names in every direction', async () => {
    const start = 'חשבונית'
    const hebrew = `${start} ${'מספר ארוך מאוד '.repeat(12)}.pdf`
    const latin = `Invoice ${'with a very long number '.repeat(12)}.pdf`
    const keys = [
      await demo.put(hebrew, 'application/pdf'),
      await demo.put(latin, 'application/pdf'),
    ]
    await using tab = await demo.open()
    const { page } = tab
    /** Where the first characters of a name are, and the box that cuts them off. */
    const startOf = async (selector: string, characters: number) =>
      boxesSchema.parse(
        await page.evaluate(`(() => {
          const part = document.querySelector(${JSON.stringify(selector)})
          const range = document.createRange()
          range.setEnd(part.firstChild, ${characters})
          range.setStart(part.firstChild, 0)
          const edges = ({ left, right }) => ({ left, right })
          return [edges(range.getBoundingClientRect()), edges(part.getBoundingClientRect())]
        })()`),
      )
    for (const [name, characters] of [
      [hebrew, start.length],
      [latin, 'Invoice'.length],
    ] as const) {
      await tile(page, name).waitFor()
      const selector = `[title="${name}"] > :first-child`
      const [text, box] = await startOf(selector, characters)
      expect(text.left).toBeGreaterThanOrEqual(box.left)
      expect(text.right).toBeLessThanOrEqual(box.right + 1)
      await tile(page, name)
        .getByRole('button', { name: `Actions for ${name}` })
        .click()
      const [inMenu, menu] = await startOf('#file-menu-title', characters)
      expect(inMenu.left).toBeGreaterThanOrEqual(menu.left)
      expect(inMenu.right).toBeLessThanOrEqual(menu.right + 1)
      await page.keyboard.press('Escape')
    }
    await demo.remove(keys)
    expect(tab.failures).toEqual([])
  })

  it('shows a list, and keeps it after a reload', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const height = async () => (await tile(page, 'clip.webm').boundingBox())?.height ?? 0
    expect(await height()).toBeGreaterThan(100)
    await page.getByRole('button', { name: 'List view' }).click()
    expect(await height()).toBeLessThan(80)
    await page.reload()
    await tile(page, 'clip.webm').waitFor()
    await page.getByRole('button', { name: 'List view', pressed: true }).waitFor()
    expect(await height()).toBeLessThan(80)
    expect(tab.failures).toEqual([])
  })

  it.each(SCHEMES)('has no serious accessibility violations in %s', async (colorScheme) => {
    await using tab = await demo.open({ colorScheme })
    const { page } = tab
    await page.getByRole('checkbox', { name: `Select ${nameOf(30 - 4)}` }).check({ force: true })
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'Clear the selection' }).click()
    expect(await focused(page)).toBe(`Select ${nameOf(26)}`)
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('button', { name: 'List view' }).click()
    expect(await seriousFindings(page)).toEqual([])
    await page.getByRole('link', { name: VIEWS[0] }).click()
    await loaded(page)
    expect(await seriousFindings(page)).toEqual([])
  })

  it('needs only the keyboard, from upload to delete', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const tabTo = async (name: string) => {
      await expect
        .poll(async () => {
          if ((await focused(page)) !== name) await page.keyboard.press('Tab')
          return focused(page)
        })
        .toBe(name)
    }
    const name = 'By keyboard.png'
    const file = { name, mimeType: 'image/png', buffer: smallPng(320, 200) }
    await chooseByKeyboard(page, file, '.uppy-Dashboard-browse')
    await tile(page, name).waitFor()
    await tabTo(name)
    await page.keyboard.press('Enter')
    await loaded(page)
    await tabTo('Delete…')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Delete this file?' }).waitFor()
    await tabTo('Delete')
    await page.keyboard.press('Enter')
    await viewer(page).getByText(`Deleted ${name}.`).waitFor()
    await page.keyboard.press('Escape')
    await viewer(page).waitFor({ state: 'hidden' })
    expect(await names(page)).not.toContain(name)
    expect(tab.failures).toEqual([])
  })

  it('shows in the viewer only what the token may do, and links without a fallback if it may not read', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const use = async (token: string) => {
      await page.evaluate(`sessionStorage.setItem('token', ${JSON.stringify(token)})`)
      const limits = page.waitForResponse('**/limits')
      await page.reload()
      await limits
    }
    await use(await demo.token('files:list', 'files:read', 'links:create'))
    await page.getByRole('link', { name: VIEWS[0] }).click()
    await loaded(page)
    expect(await viewer(page).getByRole('button', { name: 'Delete…' }).isVisible()).toBe(false)
    expect(await viewer(page).getByRole('button', { name: 'Download' }).isVisible()).toBe(true)

    // Without files:read, links have no fallback.
    await use(await demo.token('files:list', 'links:create'))
    const image = tile(page, nameOf(26)).locator('img.is-loaded')
    expect(await image.getAttribute('srcset')).not.toContain('fallback')
    await use(await demo.token('files:list'))
    await tile(page, nameOf(26)).locator('.symbol').waitFor()
  })
})
