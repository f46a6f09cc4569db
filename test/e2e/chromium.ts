import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type FileChooser,
  type Page,
} from 'playwright-core'
import { expect } from 'vitest'
import { CHROMIUM_OPTIONS } from '../setup/chromium-options.ts'
import { shared } from './shared.ts'

/** How long an action of a page may take. It only ends a page that hangs, as the limit of a poll. */
const ACTION_MILLISECONDS = 240_000

/** Connects to the browser of this run. `close()` closes the caller's contexts, not the browser. */
export const connectChromium = async (): Promise<Browser> =>
  patient(await chromium.connect(await shared('chromium')))

/** Starts another browser: for pages that need the flags `more`, or outside of a test run. */
export const startChromium = async (...more: readonly string[]): Promise<Browser> =>
  patient(await chromium.launch({ ...CHROMIUM_OPTIONS, args: [...CHROMIUM_OPTIONS.args, ...more] }))

/** Sets the limit for all pages of the browser. Playwright's own ends actions on a busy machine. */
function patient(browser: Browser): Browser {
  const newContext = browser.newContext.bind(browser)
  browser.newContext = async (options) => {
    const context = await newContext(options)
    context.setDefaultTimeout(ACTION_MILLISECONDS)
    return context
  }
  return browser
}

/**
 * Chooses the file at `path` in the first control that matches `selector`. Playwright would send a
 * copy of the file to the browser, since it only connects to it.
 */
export async function chooseFromDisk(page: Page, selector: string, path: string): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const { root } = await session.send('DOM.getDocument')
  const { nodeId } = await session.send('DOM.querySelector', { nodeId: root.nodeId, selector })
  await session.send('DOM.setFileInputFiles', { nodeId, files: [path] })
  await session.detach()
}

/**
 * Chooses files with only the keyboard, in the control that matches the selector `control`. Repeats
 * a key that has no effect, since Chromium ignores keys before it has painted the page.
 */
export async function chooseByKeyboard(
  page: Page,
  files: Parameters<FileChooser['setFiles']>[0],
  control = 'label input[type=file]',
): Promise<void> {
  // First of all, because Chromium opens a dialog of the system until it knows of the listener.
  const choosers: FileChooser[] = []
  page.on('filechooser', (chooser) => choosers.push(chooser))
  const press = async (key: string, isDone: () => boolean | Promise<boolean>) => {
    await expect
      .poll(async () => {
        if (!(await isDone())) await page.keyboard.press(key)
        return isDone()
      })
      .toBe(true)
  }
  const isFocused = `document.activeElement.matches(${JSON.stringify(control)})`
  await press('Tab', () => page.evaluate<boolean>(isFocused))
  await press('Enter', () => choosers.length > 0)
  await choosers[0]?.setFiles(files)
}

/** A new tab, with what its page reports as errors. */
export interface NewTab {
  readonly context: BrowserContext
  readonly page: Page
  readonly failures: readonly string[]
}

/** Opens an empty tab without animations. */
export async function newTab(browser: Browser, options?: BrowserContextOptions): Promise<NewTab> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  const failures: string[] = []
  page.on('pageerror', ({ message }) => failures.push(message))
  page.on('console', (message) => {
    if (message.type() === 'error') failures.push(message.text())
  })
  return { context, page, failures }
}
