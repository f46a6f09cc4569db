import { type Browser, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { CHROMIUM_OPTIONS } from '../setup/chromium-options.ts'
import { shared } from './shared.ts'

/** Connects to the browser of this run. `close()` closes the caller's contexts, not the browser. */
export const connectChromium = async (): Promise<Browser> =>
  chromium.connect(await shared('chromium'))

/** Starts another browser, for pages that need the flag `more`. */
export const startChromium = (more: string): Promise<Browser> =>
  chromium.launch({ ...CHROMIUM_OPTIONS, args: [...CHROMIUM_OPTIONS.args, more] })

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
