import type { Page, Route } from 'playwright-core'
import { expect } from 'vitest'

/** A part of an upload that stays in the browser. */
export interface HeldPart {
  /** Waits until the page sends the part. */
  isHeld(): Promise<void>
  /** Sends the part on, and each one that follows. */
  release(): Promise<void>
}

/** Holds the PUTs of part `partNumber` in the browser, from all uploads of the page. */
export async function holdPart(page: Page, partNumber: number): Promise<HeldPart> {
  const held: Route[] = []
  let isOpen = false
  const isPart = (url: URL) => url.searchParams.get('partNumber') === String(partNumber)
  await page.route(isPart, async (route) => {
    if (isOpen || route.request().method() !== 'PUT') await route.continue()
    else held.push(route)
  })
  return {
    isHeld: () => expect.poll(() => held.length).toBeGreaterThan(0),
    async release() {
      isOpen = true
      // Those that the page has canceled are gone.
      for (const route of held) await route.continue().catch(() => undefined)
    },
  }
}
