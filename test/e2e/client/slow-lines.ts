import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ClientPage } from '../../../client/test/page-api.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { fileOf, openClientTab } from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

const FILES = 12
const FILE_BYTES = 50_000
/** How many uploads of a page run at the same time. */
const PARALLEL = 4
/** More than the two minutes without progress after which the client sends a request again. */
const TOO_LONG_MILLISECONDS = 125_000

/** Slow and silent connections. The page's clock moves only where a test moves it. */
export function slowLineRules(context: () => ClientContext): void {
  const open = () => openClientTab(context(), { isClockStopped: true })

  it('uploads many files at once over a slow connection, and sends none of them twice', async () => {
    await using tab = await open()
    const held: (() => void)[] = []
    context().proxy.failure = () =>
      new Promise((resolve) => {
        held.push(() => resolve(null))
      })
    const uploading = tab.page.evaluate(([count, file]) => page.uploadMany(count, file), [
      FILES,
      fileOf(FILE_BYTES),
    ] as const)
    // The first file is silent for longer than two minutes, while the others continue.
    for (let sent = 1; sent < FILES; sent++) {
      await expect.poll(() => held.length).toBe(Math.min(sent + PARALLEL - 1, FILES))
      await tab.page.clock.runFor(TOO_LONG_MILLISECONDS / (FILES - 1))
      held[sent]?.()
    }
    held[0]?.()
    const { value, failure } = await uploading
    expect(failure).toBeNull()
    const etag = `"${createHash('md5').update(patternBytes(FILE_BYTES)).digest('hex')}"`
    expect(value?.map((record) => record.etag)).toEqual(Array.from({ length: FILES }, () => etag))
    expect(tab.silences()).toBe(0)
    expect(context().proxy.requests).toHaveLength(FILES)
  })

  it('waits for a connection while other requests use all six', async () => {
    await using tab = await open()
    const held = Promise.withResolvers<number>()
    context().proxy.failure = ({ method }) => (method === 'GET' ? held.promise : null)
    await tab.page.evaluate((endpoint) => {
      for (let index = 0; index < 6; index++) void fetch(`${endpoint}/files/${index}`)
    }, context().proxy.endpoint)
    await expect.poll(() => context().proxy.requests.length).toBe(6)
    const put = tab.page.waitForRequest((request) => request.method() === 'PUT')
    await tab.begin(1000)
    await put
    await tab.page.clock.runFor(TOO_LONG_MILLISECONDS)
    held.resolve(404)
    expect(await tab.end()).toMatchObject({ size: 1000 })
    expect(tab.silences()).toBe(0)
  })

  it('waits for a bucket that accepts bytes, although it has never answered', async () => {
    await using tab = await open()
    let cuts = 0
    context().proxy.failure = async () => {
      if (cuts === 5) return null
      cuts++
      await expect.poll(() => tab.progress()).toEqual([1000])
      return 'cut'
    }
    await tab.begin(1000)
    expect(await tab.skipPauses(tab.end())).toMatchObject({ size: 1000 })
    expect(context().proxy.requests).toHaveLength(6)
    // A refusal without CORS headers looks the same to a page.
    expect(await tab.stalls()).toContain(
      'No response from the bucket that this page can read. Check its access key and CORS rules.',
    )
  })

  it('shows that the upload stalls, and sends a request again after two silent minutes', async () => {
    await using tab = await open()
    let isFirst = true
    context().proxy.failure = () => {
      if (!isFirst) return null
      isFirst = false
      return new Promise(() => undefined)
    }
    await tab.begin(1000)
    await expect.poll(() => tab.progress()).toEqual([1000])
    await tab.page.clock.runFor(TOO_LONG_MILLISECONDS)
    expect(await tab.skipPauses(tab.end())).toMatchObject({ size: 1000 })
    expect(context().proxy.requests).toHaveLength(2)
    const stalls = await tab.stalls()
    expect(stalls).toContainEqual(expect.stringMatching(/^No response from the bucket/))
    expect(stalls.at(-1)).toBe('')
  })
}
