import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { connectChromium } from '../../e2e/chromium.ts'
import { smallPng } from '../../e2e/small-png.ts'
import { expectLogOut, type LogOut } from './log-out.ts'

/** The width of the picture itself. */
export const WIDTH = 640
export const PNG = { name: 'a.png', mimeType: 'image/png', buffer: smallPng(WIDTH, 480) }
/** How wide a list says the picture is, in units of its layout: the link with 320 pixels, for 160. */
export const THUMBNAIL = 160
/** The original in place of that link, where nothing resizes. */
export const ORIGINAL = 320
export const PDF = { name: 'b.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4') }

/** Opens a page of the reader's app. An uncaught error of the page fails the test. */
export async function open(url: string): Promise<Page & AsyncDisposable> {
  const browser = await connectChromium()
  const page = await browser.newPage()
  const errors: string[] = []
  page.on('pageerror', ({ message }) => errors.push(message))
  await page.goto(url)
  return Object.assign(page, {
    async [Symbol.asyncDispose]() {
      await browser.close()
      expect(errors).toEqual([])
    },
  })
}

export const alerts = async (page: Page): Promise<string> =>
  (await page.locator('[role=alert], .ep-dropzone-reason').allTextContents()).join('')

/** Waits until the list has the picture, as wide as this, and the name of the PDF. */
export async function expectListed(page: Page, pixels: number): Promise<void> {
  const image = page.locator(`a:has(img[alt="${PNG.name}"]) img`).first()
  const state = async () => [
    await alerts(page),
    (await image.count()) > 0 &&
      (await image.evaluate((element) => Reflect.get(element, 'naturalWidth'))),
    await page.locator(`a:text-is("${PDF.name}")`).count(),
  ]
  await expect.poll(state).toEqual(['', pixels, 1])
}

/** Uploads a picture and a PDF on the page at `url`, and waits until both are in its list. */
export async function expectUploads(page: Page, pixels = THUMBNAIL): Promise<void> {
  await page.setInputFiles('[type=file]', [PNG, PDF])
  await expectListed(page, pixels)
  await page.reload()
  await expectListed(page, pixels)
  for (const { name } of [PNG, PDF]) {
    const deleted = page.waitForResponse((each) => each.request().method() === 'DELETE')
    await page.locator(`button[aria-label="Delete ${name}"]`).first().click()
    expect((await deleted).status()).toBe(204)
  }
  await expect.poll(() => page.locator(`a:has-text("${PDF.name}")`).count()).toBe(0)
}

/** Follows the log-out of a page, in one tab and in two. */
export async function expectLogOuts(url: string, options: Partial<LogOut> = {}): Promise<void> {
  const browser = await connectChromium()
  try {
    for (const tabs of [1, 2] as const) await expectLogOut({ browser, url, ...options }, tabs)
  } finally {
    await browser.close()
  }
}
