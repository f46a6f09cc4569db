import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { limitUploads } from '../demo-page.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { fileOf, openClientTab } from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** Two minutes on the client's clock take four seconds in these tests. */
const CLOCK_SPEED = 30
const FILES = 100
const FILE_BYTES = 50_000
/** All files take 12 seconds, which are six minutes on the client's clock. */
const BYTES_PER_SECOND = 400_000

/** Slow and silent connections. */
export function slowLineRules(context: () => ClientContext): void {
  it('uploads 100 files at once over a slow connection, and sends none of them twice', async () => {
    await using tab = await openClientTab(context(), { clockSpeed: CLOCK_SPEED })
    let parallel = 0
    let slowest = false
    context().proxy.failure = async () => {
      const running = context().proxy.requests.filter(({ status }) => status === undefined).length
      parallel = Math.max(parallel, running)
      if (slowest) return null
      slowest = true
      await delay(6000) // Silent for more than two minutes on the client's clock, while others continue.
      return null
    }
    await limitUploads(tab.page, BYTES_PER_SECOND)
    const { value, failure } = await tab.page.evaluate(
      ([count, file]) => page.uploadMany(count, file),
      [FILES, fileOf(FILE_BYTES)] as const,
    )
    expect(failure).toBeNull()
    const etag = `"${createHash('md5').update(patternBytes(FILE_BYTES)).digest('hex')}"`
    expect(value?.map((record) => record.etag)).toEqual(Array.from({ length: FILES }, () => etag))
    expect(tab.silences()).toBe(0)
    expect(context().proxy.requests).toHaveLength(FILES)
    expect(parallel).toBe(4)
  })

  it('waits for a connection while other requests use all six', async () => {
    await using tab = await openClientTab(context(), { clockSpeed: CLOCK_SPEED })
    const held = Promise.withResolvers<number>()
    context().proxy.failure = ({ method }) => (method === 'GET' ? held.promise : null)
    await tab.page.evaluate((endpoint) => {
      for (let index = 0; index < 6; index++) void fetch(`${endpoint}/files/${index}`)
    }, context().proxy.endpoint)
    await expect.poll(() => context().proxy.requests.length).toBe(6)
    await tab.begin(1000)
    await delay(6000) // More than two minutes on the client's clock.
    held.resolve(404)
    expect(await tab.end()).toMatchObject({ size: 1000 })
    expect(tab.silences()).toBe(0)
  })

  it('waits for a bucket that accepts bytes, although it has never answered', async () => {
    await using tab = await openClientTab(context(), { clockSpeed: CLOCK_SPEED })
    let cuts = 0
    context().proxy.failure = async () => {
      if (cuts === 5) return null
      cuts++
      await delay(500)
      return 'cut'
    }
    await tab.begin(1000)
    expect(await tab.end()).toMatchObject({ size: 1000 })
    expect(context().proxy.requests).toHaveLength(6)
    // A refusal without CORS headers looks the same to a page.
    expect(await tab.stalls()).toContain(
      'No response from the bucket that this page can read. Check its access key and CORS rules.',
    )
  })

  it('shows that the upload stalls, and sends a request again after two silent minutes', async () => {
    await using tab = await openClientTab(context(), { clockSpeed: CLOCK_SPEED })
    let isFirst = true
    context().proxy.failure = () => {
      if (!isFirst) return null
      isFirst = false
      return new Promise(() => undefined)
    }
    await tab.begin(1000)
    expect(await tab.end()).toMatchObject({ size: 1000 })
    expect(context().proxy.requests).toHaveLength(2)
    // A Worker that needs a quarter of a second also counts as stalled, before and after this.
    const stalls = await tab.stalls()
    expect(stalls).toContainEqual(expect.stringMatching(/^No response from the bucket/))
    expect(stalls.at(-1)).toBe('')
  })
}
