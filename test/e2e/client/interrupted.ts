import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { openClientTab, PART_BYTES, partedEtag } from './client-tab.ts'
import type { ClientContext } from './context.ts'

const SIZE = 500 * 1000 ** 2
const PARTS = Math.ceil(SIZE / PART_BYTES)
const SECONDS_OFFLINE = 10

/** A file whose upload takes longer than the network stays up. */
export function interruptedRules(context: () => ClientContext): void {
  it('uploads 500 MB completely, although the network is down for ten seconds', {
    timeout: 180_000,
  }, async () => {
    await using tab = await openClientTab(context())
    await tab.begin(SIZE)
    await expect
      .poll(() => tab.parts().filter(({ status }) => status === 200).length)
      .toBeGreaterThan(PARTS / 6)
    await tab.page.context().setOffline(true)
    await delay(SECONDS_OFFLINE * 1000)
    expect(tab.parts().length).toBeLessThan(PARTS)
    await tab.page.context().setOffline(false)

    const { key } = await tab.end()
    const etag = partedEtag(SIZE, 'simulated R2')
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    // Only interrupted parts are sent twice.
    const stored = tab.parts().filter(({ status }) => status === 200)
    expect(stored.map(({ partNumber }) => partNumber).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: PARTS }, (_, index) => index + 1),
    )
    expect(await context().hasUpload(key, stored[0]?.s3UploadId ?? '')).toBe(false)
  })
}
