import { type Browser, chromium } from 'playwright-core'
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
