import { type Browser, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { CHROMIUM_PATH } from './system-package.ts'

/** Starts Debian's Chromium without a window and without background requests. */
export const startChromium = (...more: readonly string[]): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM_PATH,
    timeout: 30_000,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      '--autoplay-policy=no-user-gesture-required',
      ...more,
    ],
  })

/**
 * Chooses files in the first control of the page, a file input in a label, with only the keyboard.
 * Repeats a key that has no effect, since Chromium ignores keys before it has painted the page.
 */
export async function chooseByKeyboard(
  page: Page,
  files: Parameters<Page['setInputFiles']>[1],
): Promise<void> {
  const isFocused = () =>
    page.evaluate<boolean>('document.activeElement.matches("label input[type=file]")')
  await expect
    .poll(async () => {
      if (!(await isFocused())) await page.keyboard.press('Tab')
      return isFocused()
    })
    .toBe(true)
  const choosers: unknown[] = []
  page.on('filechooser', (chooser) => choosers.push(chooser))
  await expect
    .poll(async () => {
      if (choosers.length === 0) await page.keyboard.press('Enter')
      return choosers.length
    })
    .toBeGreaterThan(0)
  await page.setInputFiles('label input[type=file]', files)
}
