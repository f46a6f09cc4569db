import { existsSync } from 'node:fs'
import type { LaunchOptions } from 'playwright-core'

const WHOLE = '/usr/bin/chromium'

/** Debian's Chromium for programs, which needs a fourth of the processor time, or else the whole one. */
export const CHROMIUM_PATH =
  ['/usr/bin/chromium-headless-shell', WHOLE].find((path) => existsSync(path)) ?? null

/** Starts it without a window and without background requests. */
export const CHROMIUM_OPTIONS: LaunchOptions & { readonly args: readonly string[] } = {
  ...(CHROMIUM_PATH !== null && { executablePath: CHROMIUM_PATH }),
  timeout: 240_000,
  // Without a locale, it can't open a file whose name isn't ASCII.
  env: { ...process.env, LC_ALL: 'C.UTF-8' },
  args: [
    ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
    ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    '--autoplay-policy=no-user-gesture-required',
    // As far ahead as the whole browser on a fast line, whose speed this one doesn't measure.
    '--blink-settings=lazyLoadingImageMarginPxUnknown=1250',
  ],
}

/** The same for the browser that people use, if it is installed. */
export const WHOLE_CHROMIUM_OPTIONS: LaunchOptions = {
  ...CHROMIUM_OPTIONS,
  ...(existsSync(WHOLE) && { executablePath: WHOLE }),
}
