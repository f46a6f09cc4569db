import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { printedDocument } from '../../tools/dev/openapi/printed.ts'
import {
  choose,
  type DemoPage,
  dropOn,
  FILM,
  seriousFindings,
  startDemoPage,
  type TestFile,
  tile,
} from './demo-page.ts'
import { type HeldPart, holdPart } from './held-part.ts'
import { smallPng } from './small-png.ts'
import { CHROMIUM, describeWith } from './system-package.ts'

const picture = (name: string, grey: number): TestFile => ({
  name,
  mimeType: 'image/png',
  buffer: smallPng(320, 200, grey),
})

const names = (page: Page): Promise<string[]> => page.locator('.file-name').allTextContents()

const notice = (page: Page) => page.locator('#notice')

/** Starts the upload of a large file, of which the bucket doesn't get the second part. */
async function sendSomeParts(page: Page, directory: string): Promise<HeldPart> {
  const film = join(directory, FILM.name)
  await writeFile(film, Buffer.alloc(FILM.size, FILM.name))
  const part2 = await holdPart(page, 2)
  await choose(page, film)
  await part2.isHeld()
  return part2
}

describeWith([CHROMIUM], 'the page of npm run dev in Chromium', () => {
  const stack = new AsyncDisposableStack()
  let demo: DemoPage

  beforeAll(async () => {
    demo = stack.use(await startDemoPage())
  })

  afterAll(() => stack.disposeAsync())

  it('shows that there are no files yet', async () => {
    await using tab = await demo.open({ colorScheme: 'light' })
    const { page } = tab
    await page.getByRole('heading', { name: 'Nothing here yet' }).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.emulateMedia({ colorScheme: 'dark' })
    expect(await seriousFindings(page)).toEqual([])
    expect(tab.failures).toEqual([])
  })

  it('uploads three images, shows them again after a reload, and deletes one', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const pictures = ['Grüne Wiese.png', 'b.png', 'c & d.png'].map((name, index) =>
      picture(name, 80 * index),
    )
    await dropOn(page, '#uploader .uppy-Dashboard', pictures)
    for (const { name } of pictures) await tile(page, name).waitFor()
    await notice(page).getByText('3 files uploaded.').waitFor()
    const shown = await names(page)

    await page.reload()
    await tile(page, 'Grüne Wiese.png').waitFor()
    expect(await names(page)).toEqual(shown)
    await expect.poll(() => page.locator('.preview img.is-loaded').count()).toBe(3)

    const [first = '', second = '', third = ''] = shown
    const dialog = page.getByRole('dialog', { name: 'Delete this file?' })
    const ask = async () => {
      await page.getByRole('button', { name: `Actions for ${second}` }).press('Enter')
      await page.getByRole('button', { name: 'Delete…' }).click()
      await dialog.getByText(second).waitFor()
    }
    await ask()
    await page.keyboard.press('Escape')
    expect(await names(page)).toEqual(shown)
    await ask()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    expect(await names(page)).toEqual(shown)

    await ask()
    await dialog.getByRole('button', { name: 'Delete' }).click()
    await notice(page).getByText(`Deleted ${second}.`).waitFor()
    expect(await names(page)).toEqual([first, third])
    expect(await page.evaluate('document.activeElement.ariaLabel')).toBe(third)

    await page.reload()
    await tile(page, third).waitFor()
    expect(await names(page)).toEqual([first, third])
    expect(tab.failures).toEqual([])
  })

  it('links to the API description', async () => {
    await using tab = await demo.open()
    const path = await tab.page.getByRole('link', { name: 'OpenAPI' }).getAttribute('href')
    const served = await fetch(demo.origin + path)
    expect(await served.text()).toBe(printedDocument())
  })

  it('accepts a file that is dropped anywhere', async () => {
    await using tab = await demo.open()
    await dropOn(tab.page, 'h1', [picture('anywhere.png', 10)])
    await tile(tab.page, 'anywhere.png').waitFor()
    expect(tab.failures).toEqual([])
  })

  it('copies a link, and downloads a file with its name', async () => {
    await using tab = await demo.open({ permissions: ['clipboard-read', 'clipboard-write'] })
    const { page } = tab
    const [name = ''] = await names(page)
    const actions = page.getByRole('button', { name: `Actions for ${name}` })
    await actions.click()
    await page.getByRole('button', { name: 'a week' }).click()
    await notice(page).getByText(`Link to ${name} copied. It works until`).waitFor()
    const link = new URL(String(await page.evaluate('navigator.clipboard.readText()')))
    const days = (Number(link.searchParams.get('exp')) - Date.now() / 1000) / 86_400
    expect(days).toBeCloseTo(7, 1)
    expect((await fetch(link)).headers.get('content-type')).toBe('image/png')

    await actions.click()
    const downloading = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download' }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe(name)
    const saved = join(demo.directory, 'download.png')
    await download.saveAs(saved)
    expect(await readFile(saved)).toEqual(picture(name, 10).buffer)
    expect(tab.failures).toEqual([])
  })

  it('shows the link when the clipboard is denied', async () => {
    await using tab = await demo.open({ permissions: [] })
    const { page } = tab
    await page.evaluate('navigator.clipboard.write = () => Promise.reject(new Error("refused"))')
    await page.locator('.file-more').first().click()
    await page.getByRole('button', { name: 'an hour' }).click()
    const dialog = page.getByRole('dialog', { name: 'Copy this link' })
    expect(await dialog.getByRole('textbox').inputValue()).toMatch(/^http.*\/i\/files\//)
    await dialog.getByRole('button', { name: 'Done' }).click()
    expect(await dialog.isVisible()).toBe(false)
    expect(tab.failures).toEqual([])
  })

  it.each(['light', 'dark'] as const)(
    'has no serious accessibility violations in %s',
    async (scheme) => {
      await using tab = await demo.open({ colorScheme: scheme })
      const { page } = tab
      expect(await seriousFindings(page)).toEqual([])
      await page.locator('.file-more').first().click()
      await page.getByRole('button', { name: 'Delete…' }).waitFor()
      expect(await seriousFindings(page)).toEqual([])
      await page.getByRole('button', { name: 'Delete…' }).click()
      await page.getByRole('heading', { name: 'Delete this file?' }).waitFor()
      expect(await seriousFindings(page)).toEqual([])
    },
  )

  it('opens and closes the menu of a file with the keyboard', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const focused = () =>
      page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.innerText')
    const [name = ''] = await names(page)
    await page.getByRole('link', { name }).focus()
    await page.keyboard.press('Tab')
    expect(await focused()).toBe(`Actions for ${name}`)
    await page.keyboard.press('Enter')
    expect(await focused()).toBe('an hour')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('a day')
    await page.keyboard.press('Escape')
    expect(await page.locator('#file-menu').isVisible()).toBe(false)
    expect(await focused()).toBe(`Actions for ${name}`)
  })

  describe('to copy another link,', () => {
    const dialog = (page: Page) => page.getByRole('dialog', { name: 'Copy a link' })
    const focused = (page: Page) => page.evaluate('document.activeElement.ariaLabel')
    const copied = async (page: Page) =>
      new URL(String(await page.evaluate('navigator.clipboard.readText()')))
    const permissions = ['clipboard-read', 'clipboard-write']

    /** Opens the dialog with the keyboard, from the menu of a tile. */
    async function ask(page: Page, name: string): Promise<void> {
      await page.getByRole('button', { name: `Actions for ${name}` }).press('Enter')
      await page.getByRole('button', { name: 'Copy another link…' }).press('Enter')
      await dialog(page).getByLabel('Valid for').waitFor()
    }

    it('offers a lifetime, a start, countries and a name, and says what is wrong', async () => {
      await demo.put('Plan für Zoë.txt')
      const name = 'Plan für Zoë.txt'
      await using tab = await demo.open({ permissions })
      const { page } = tab
      await ask(page, name)
      expect(await seriousFindings(page)).toEqual([])
      await dialog(page).getByLabel('Valid for').selectOption('a day')
      await dialog(page).getByLabel('Works from').fill('2099-01-01T00:00')
      await dialog(page).getByLabel('Only in these countries').fill('de, at UK')
      await dialog(page).getByLabel('Download the file').check()
      expect(await dialog(page).getByLabel('Save as').inputValue()).toBe(name)
      await dialog(page).getByLabel('Save as').fill('Plan (1).txt')
      await page.keyboard.press('Enter')
      await dialog(page)
        .getByRole('alert')
        .getByText('Only in these countries: must be a country')
        .waitFor()
      expect(await seriousFindings(page)).toEqual([])

      await dialog(page).getByLabel('Only in these countries').fill('de, at')
      await page.keyboard.press('Enter')
      await dialog(page)
        .getByRole('alert')
        .getByText(/end too late/)
        .waitFor()

      const start = new Date(Date.now() + 3_600_000)
      start.setSeconds(0, 0)
      const local = new Date(start.getTime() - start.getTimezoneOffset() * 60_000).toJSON()
      await dialog(page).getByLabel('Works from').fill(local.slice(0, 16))
      await page.keyboard.press('Enter')
      await notice(page).getByText(`Link to ${name} copied. It works until`).waitFor()
      expect(await dialog(page).isVisible()).toBe(false)
      expect(await focused(page)).toBe(`Actions for ${name}`)
      const link = await copied(page)
      const { kid: _, sig: __, ...query } = Object.fromEntries(link.searchParams)
      expect(query).toEqual({
        exp: String(start.getTime() / 1000 + 86_400),
        dl: 'Plan (1).txt',
        nbf: String(start.getTime() / 1000),
        countries: 'AT,DE',
      })
      expect(await (await fetch(link)).json()).toMatchObject({
        code: 'link_invalid',
        reason: 'not_yet',
      })
      expect(tab.failures).toEqual([expect.stringContaining('400'), expect.stringContaining('400')])
    })

    it('copies a plain link unless asked for more, and nothing after Escape', async () => {
      await using tab = await demo.open({ permissions })
      const { page } = tab
      const [name = ''] = await names(page)
      await ask(page, name)
      await page.keyboard.press('Escape')
      await dialog(page).waitFor({ state: 'hidden' })
      expect(await focused(page)).toBe(`Actions for ${name}`)
      await ask(page, name)
      expect(await dialog(page).getByLabel('Save as').isDisabled()).toBe(true)
      await dialog(page).getByRole('button', { name: 'Copy' }).click()
      await notice(page).getByText(`Link to ${name} copied.`).waitFor()
      const link = await copied(page)
      expect([...link.searchParams.keys()]).toEqual(['exp', 'kid', 'sig'])
      expect((await fetch(link)).status).toBe(200)
      expect(tab.failures).toEqual([])
    })
  })

  describe('to rename a file,', () => {
    const dialog = (page: Page) => page.getByRole('dialog', { name: 'Rename this file' })
    const field = (page: Page) => dialog(page).getByLabel('New name')
    const alert = (page: Page) => dialog(page).getByRole('alert')
    const focused = (page: Page) => page.evaluate('document.activeElement.ariaLabel')
    const selected = (page: Page) => page.evaluate('String(getSelection())')

    /** Opens the dialog with the keyboard, from the menu of a tile. */
    async function ask(page: Page, name: string): Promise<void> {
      await page.getByRole('button', { name: `Actions for ${name}` }).press('Enter')
      await page.getByRole('button', { name: 'Rename…' }).press('Enter')
      await field(page).waitFor()
    }

    it('needs only the keyboard, and returns the focus', async () => {
      await demo.put('draft.final.txt')
      await using tab = await demo.open()
      const { page } = tab
      await ask(page, 'draft.final.txt')
      expect(await seriousFindings(page)).toEqual([])
      expect(await selected(page)).toBe('draft.final') // without the extension
      await page.keyboard.type('<b>Report</b>')
      await page.keyboard.press('Enter')
      await notice(page).getByText('Renamed to <b>Report</b>.txt.').waitFor()
      expect(await dialog(page).isVisible()).toBe(false)
      expect(await focused(page)).toBe('Actions for <b>Report</b>.txt')
      expect(await page.locator('.file b').count()).toBe(0)
      await page.getByRole('checkbox', { name: 'Select <b>Report</b>.txt' }).waitFor()
      expect((await demo.list()).files[0]?.name).toBe('<b>Report</b>.txt')
      await page.reload()
      await tile(page, '<b>Report</b>.txt').waitFor()
      expect(tab.failures).toEqual([])
    })

    it('keeps the name after Escape, Cancel, or no change', async () => {
      await using tab = await demo.open()
      const { page } = tab
      const sent: string[] = []
      page.on('request', (request) => sent.push(request.method()))
      const [name = ''] = await names(page)
      const ways = [
        () => page.keyboard.press('Escape'),
        () => dialog(page).getByRole('button', { name: 'Cancel' }).click(),
      ]
      for (const leave of ways) {
        await ask(page, name)
        await field(page).fill('Other.txt')
        await leave()
        await dialog(page).waitFor({ state: 'hidden' })
        expect(await focused(page)).toBe(`Actions for ${name}`)
      }
      await ask(page, name)
      expect(await field(page).inputValue()).toBe(name)
      await page.keyboard.press('Enter')
      await dialog(page).waitFor({ state: 'hidden' })
      await ask(page, name)
      await field(page).fill('')
      await page.keyboard.press('Enter')
      expect(await dialog(page).isVisible()).toBe(true)
      expect(await names(page)).toContain(name)
      expect(sent).not.toContain('PATCH')
    })

    it('shows an error in the dialog until the next try works', async () => {
      await using tab = await demo.open()
      const { page } = tab
      const [name = ''] = await names(page)
      await ask(page, name)
      await field(page).fill('photo\u202egpj.exe')
      await page.keyboard.press('Enter')
      await alert(page)
        .getByText(/invalid_name/)
        .waitFor()
      expect(await field(page).evaluate((input) => input.matches(':focus'))).toBe(true)
      expect(await seriousFindings(page)).toEqual([])
      await field(page).fill('Works.txt')
      await page.keyboard.press('Enter')
      await tile(page, 'Works.txt').waitFor()
      await ask(page, 'Works.txt')
      expect(await alert(page).textContent()).toBe('')
    })

    it('says that the file was deleted or replaced meanwhile', async () => {
      const gone = await demo.put('gone.txt')
      const replaced = await demo.put('replaced.txt')
      await using tab = await demo.open()
      const { page } = tab
      await demo.remove([gone])
      await demo.replace(replaced)
      for (const [name, message] of [
        ['gone.txt', 'This file was deleted. Reload the page.'],
        ['replaced.txt', 'Somebody has replaced this file.'],
      ] as const) {
        await ask(page, name)
        await field(page).fill('new.txt')
        await page.keyboard.press('Enter')
        await alert(page).getByText(message).waitFor()
        await page.keyboard.press('Escape')
        expect(await focused(page)).toBe(`Actions for ${name}`)
      }
      await demo.remove([replaced])
    })

    it('shows the new name although the dialog was closed before the response', async () => {
      await demo.put('slow.txt')
      await using tab = await demo.open()
      const { page } = tab
      const held = Promise.withResolvers<void>()
      const asked = Promise.withResolvers<void>()
      await page.route('**/files/*', async (route) => {
        asked.resolve()
        await held.promise
        await route.continue()
      })
      await ask(page, 'slow.txt')
      await field(page).fill('late.txt')
      await page.keyboard.press('Enter')
      await asked.promise
      await page.keyboard.press('Escape')
      const [other = ''] = (await names(page)).filter((name) => name !== 'slow.txt')
      await ask(page, other)
      held.resolve()
      await tile(page, 'late.txt').waitFor()
      expect(await field(page).inputValue()).toBe(other)
      expect(tab.failures).toEqual([])
    })

    it('works in the viewer of a phone, and with a search that the name no longer matches', async () => {
      await demo.put('phone 1.txt')
      await demo.put('phone 2.txt')
      await using tab = await demo.open({ viewport: { width: 320, height: 700 }, hasTouch: true })
      const { page } = tab
      await page.getByRole('searchbox').fill('phone')
      const viewer = page.locator('#viewer')
      await page.getByRole('link', { name: 'phone 2.txt' }).tap()
      await viewer.getByRole('button', { name: 'Details' }).tap()
      const rename = viewer.getByRole('button', { name: 'Rename…' })
      await rename.tap()
      await field(page).fill('tablet.txt')
      await dialog(page).getByRole('button', { name: 'Rename' }).tap()
      await viewer.getByText('Renamed to tablet.txt.').waitFor()
      expect(await rename.evaluate((button) => button.matches(':focus'))).toBe(true)
      expect(await page.locator('#viewer-name').textContent()).toBe('tablet.txt')
      expect(await page.locator('#viewer-details dd').first().textContent()).toContain('tablet.txt')
      expect(await viewer.getByRole('button', { name: 'Next file' }).isVisible()).toBe(false)
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(320)
      expect(await seriousFindings(page)).toEqual([])
      await viewer.getByRole('button', { name: 'Close' }).tap()
      expect(await page.locator('.file:not([hidden])').count()).toBe(1)
      await expect.poll(() => page.evaluate('document.activeElement.id')).toBe('files-title')
      expect(tab.failures).toEqual([])
    })
  })

  it.each([390, 320])('fits on a phone with %i pixels', async (viewportWidth) => {
    await using tab = await demo.open({ viewport: { width: viewportWidth, height: 844 } })
    const { page } = tab
    const width = () => page.evaluate('document.documentElement.scrollWidth')
    expect(await width()).toBe(viewportWidth)
    expect((await page.locator('.bar').boundingBox())?.height).toBe(56) // one line
    await page.getByRole('button', { name: 'Token' }).click()
    expect(await width()).toBe(viewportWidth)
    await page.locator('.file-select input').first().check({ force: true })
    const cut = `[...document.querySelectorAll('#selection > *')]
      .filter((item) => item.scrollWidth > item.clientWidth + 2).map((item) => item.textContent)`
    expect(await page.evaluate(cut)).toEqual([])
    expect(await width()).toBe(viewportWidth)
    await page.getByRole('button', { name: 'Clear the selection' }).click()
    await page.locator('.file-more').first().click()
    const menu = await page.locator('#file-menu').boundingBox()
    expect(menu?.x).toBeGreaterThan(0)
    expect((menu?.x ?? 0) + (menu?.width ?? 0)).toBeLessThan(viewportWidth)
    expect(tab.failures).toEqual([])
  })

  it.each([390, 320])('says what each icon does, with %i pixels', async (width) => {
    await using tab = await demo.open({ viewport: { width, height: 844 }, hasTouch: true })
    const { page } = tab
    /** The labels of buttons without a visible text, or with one that their label lacks, or that is cut. */
    const silent = () =>
      page.evaluate(`[...document.querySelectorAll('button')]
        .filter((button) => button.checkVisibility() && !button.closest('.uppy-Root'))
        .filter((button) => {
          const text = button.innerText.trim()
          const label = button.ariaLabel ?? button.textContent
          const isNamed = text !== '' && label.toLowerCase().includes(text.toLowerCase())
          return !isNamed || button.scrollWidth > button.clientWidth
        })
        .map((button) => button.ariaLabel ?? button.outerHTML)`)
    const expectWords = async () => {
      expect(await silent()).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    }
    await expectWords()
    await page.getByRole('searchbox', { name: 'Search names' }).fill('png')
    await page.getByRole('button', { name: 'Clear search' }).waitFor()
    await expectWords()
    await page.getByRole('button', { name: 'Clear search' }).tap()
    await page.locator('.file-select input').first().check({ force: true })
    await page.getByRole('button', { name: 'Clear the selection' }).waitFor()
    await expectWords()
    await page.getByRole('button', { name: 'Clear the selection' }).tap()
    await page.route('**/files/*/link', (route) => route.abort())
    await page.locator('.file-open').nth(1).tap()
    await page.getByRole('button', { name: 'Next file' }).waitFor()
    await page.getByRole('button', { name: 'Dismiss' }).waitFor()
    await expectWords()
  })

  it("shows the Worker's error for a wrong token, keeps the token out of the address, and removes it", async () => {
    await using tab = await demo.open()
    const { page } = tab
    const field = page.getByRole('textbox', { name: 'Token or API key' })
    await page.getByRole('button', { name: 'Token' }).click()
    await field.fill('ep_nobody_x')
    await field.press('Enter')
    const alert = page.locator('#access').getByRole('alert')
    await alert.getByText('This is not a token or an API key.').waitFor()
    expect(await alert.textContent()).toMatch(/unauthenticated · [\da-f-]{36}$/)
    await page.getByRole('heading', { name: 'These files are private' }).waitFor()
    expect(await seriousFindings(page)).toEqual([])

    await page.reload()
    await alert.getByText('This is not a token or an API key.').waitFor()
    expect(page.url()).toBe(`${demo.origin}/`)
    await page.getByRole('button', { name: 'Remove token' }).click()
    await page.locator('.file').first().waitFor()
    expect(await field.isVisible()).toBe(false)
    await page.reload()
    await page.locator('.file').first().waitFor()
    await page.getByRole('button', { name: 'Token' }).click()
    expect(await field.inputValue()).toBe('')
    expect(await page.getByRole('button', { name: 'Remove token' }).isVisible()).toBe(false)
    expect(tab.failures.filter((failure) => !failure.includes('401'))).toEqual([])
  })

  it('shows why a file was refused, and retries', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const message = 'The file is too large.'
    await page.route('**/files/upload-url', (route) =>
      route.fulfill({ status: 413, json: { message, code: 'file_too_large', requestId: 'r-2' } }),
    )
    await choose(page, picture('large.png', 200))
    await notice(page).getByText(`“large.png” was not uploaded. ${message}`).waitFor()
    await notice(page).getByText('file_too_large · r-2').waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.unroute('**/files/upload-url')
    await page.getByRole('button', { name: 'Retry upload' }).last().click()
    await tile(page, 'large.png').waitFor()
  })

  it('shows why the files could not be listed, and retries', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const message = 'Workers KV did not answer.'
    await page.route('**/files?*', (route) =>
      route.fulfill({
        status: 503,
        json: { message, code: 'unavailable', reason: 'index', requestId: 'r-1' },
      }),
    )
    await page.reload()
    const alert = page.locator('#files-error').getByRole('alert')
    await alert.getByText('unavailable · r-1').waitFor()
    await alert.getByText(message).waitFor()
    expect(await seriousFindings(page)).toEqual([])
    await page.unroute('**/files?*')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.locator('.file').first().waitFor()
    expect(await alert.isVisible()).toBe(false)
  })

  it('shows that the bucket or the Worker is unreachable, and continues when it is back', async () => {
    await using tab = await demo.open()
    const { page } = tab
    await page.clock.install()
    await choose(page, picture('before.png', 20))
    await tile(page, 'before.png').waitFor()
    const bucket = (url: URL) => url.searchParams.has('X-Amz-Signature')
    for (const [gone, name, message] of [
      [bucket, 'bucket.png', 'No connection to the bucket. Trying again…'],
      ['**/files/upload-url', 'worker.png', 'No connection to the Worker. Trying again…'],
    ] as const) {
      await page.route(gone, (route) => route.abort())
      await choose(page, picture(name, 30))
      await page.locator('#connection').getByText(message).waitFor()
      await page.unroute(gone)
      await expect
        .poll(async () => {
          await page.clock.fastForward(5000) // the pause before the next try
          return tile(page, name).count()
        })
        .toBe(1)
    }
  })

  it('keeps the chosen theme', async () => {
    await using tab = await demo.open({ colorScheme: 'light' })
    const { page } = tab
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const toggle = page.getByRole('button', { name: 'Dark theme', pressed: false })
    const light = await background()
    await toggle.click()
    const dark = await background()
    expect(dark).not.toBe(light)
    await page.reload()
    await page.getByRole('button', { name: 'Dark theme', pressed: true }).waitFor()
    expect(await background()).toBe(dark)
    expect(await page.locator('.uppy-Dashboard').getAttribute('data-uppy-theme')).toBe('dark')
    expect(tab.failures).toEqual([])
  })

  it('pauses a large file, and resumes it at the same place', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const sent: string[] = []
    page.on('requestfinished', (request) => {
      const part = new URL(request.url()).searchParams.get('partNumber')
      if (request.method() === 'PUT' && part !== null) sent.push(part)
    })
    const { release } = await sendSomeParts(page, demo.directory)
    await page.getByRole('button', { name: 'Pause', exact: true }).click()
    await page.getByText('Upload paused').waitFor()
    await expect.poll(() => sent.toSorted()).toEqual(['1', '3'])
    expect(await seriousFindings(page)).toEqual([])
    await release()
    await page.getByRole('button', { name: 'Resume', exact: true }).click()
    await tile(page, FILM.name).waitFor()
    await expect.poll(() => sent.toSorted()).toEqual(FILM.parts)
    const { files } = await demo.list()
    expect(files[0]).toMatchObject({ name: FILM.name, size: FILM.size })
    expect(tab.failures).toEqual([])
  })

  it('cancels a large file', async () => {
    await using tab = await demo.open()
    const { page } = tab
    const aborts: number[] = []
    page.on('response', (response) => {
      if (response.request().method() === 'DELETE') aborts.push(response.status())
    })
    const before = await names(page)
    await sendSomeParts(page, demo.directory)
    await page.getByRole('button', { name: 'Cancel', exact: true }).last().click()
    await page.getByText('Drop files here').first().waitFor()
    await expect.poll(() => aborts).toEqual([204])
    expect(await names(page)).toEqual(before)
    expect(tab.failures).toEqual([])
  })

  it('loads more pages while scrolling', async () => {
    await Promise.all(Array.from({ length: 60 }, (_, index) => demo.put(`${index}.txt`)))
    await demo.put('last.txt')
    await using tab = await demo.open({ viewport: { width: 600, height: 500 } })
    const { page } = tab
    expect(await page.locator('.file').count()).toBe(48)
    await page.locator('.file').last().scrollIntoViewIfNeeded()
    await tile(page, '0.txt').waitFor()
    await page.getByText(/^\d+ files$/).waitFor()
    const shown = await names(page)
    expect(new Set(shown).size).toBe(shown.length)
    expect(shown[0]).toBe('last.txt')
    expect(tab.failures).toEqual([])
  })
})
