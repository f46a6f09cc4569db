import type { LaunchOptions } from 'playwright-core'

/** Debian's Chromium. */
export const CHROMIUM_PATH = '/usr/bin/chromium'

/** Starts it without a window and without background requests. */
export const CHROMIUM_OPTIONS: LaunchOptions & { readonly args: readonly string[] } = {
  executablePath: CHROMIUM_PATH,
  timeout: 240_000,
  // Without a locale, it can't open a file whose name isn't ASCII.
  env: { ...process.env, LC_ALL: 'C.UTF-8' },
  args: [
    ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
    ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    '--autoplay-policy=no-user-gesture-required',
  ],
}
