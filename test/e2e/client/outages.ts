import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import type { UppyHelperPage } from '../../../client/test/uppy-page-api.ts'
import type { BucketProxy } from './bucket-proxy.ts'
import {
  type ClientTab,
  type ClientTabOptions,
  openClientTab,
  PART_BYTES,
  partedEtag,
} from './client-tab.ts'
import type { ClientContext } from './context.ts'

declare const page: UppyHelperPage

/** Three parts. */
const SIZE = 2 * PART_BYTES + 1000
/** The number of attempts for an origin that has never answered. */
const FIRST_TRIES = 4

/** What the client reports when a server doesn't answer. */
export function outageRules(context: () => ClientContext): void {
  const type = 'PresignerError'
  const open = (options: ClientTabOptions = {}) =>
    openClientTab(context(), { ...options, isClockStopped: true })

  const expectWhole = async (tab: ClientTab): Promise<void> => {
    const { key } = await tab.skipPauses(tab.end())
    const etag = partedEtag(SIZE)
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    await tab.expectGrowth(SIZE)
    expect((await tab.stalls()).at(-1)).toBe('')
    expect(tab.partNumbers()).toEqual([1, 2, 3])
  }

  /**
   * Waits until the upload reports why it stalls, and until `requests` concurrent requests were
   * sent more often than to an origin that has never answered.
   */
  const expectStall = async (tab: ClientTab, message: RegExp, requests: number): Promise<void> => {
    const retried = expect.poll(() => tab.silences()).toBeGreaterThan(requests * FIRST_TRIES)
    await tab.skipPauses(Promise.resolve(retried))
    await expect.poll(async () => (await tab.stalls()).at(-1)).toMatch(message)
  }

  describe('an upload to an origin that has never answered', () => {
    it("gives up after four attempts, and names the Worker's settings", async () => {
      const origin = context().pageWithoutWorker
      await using tab = await open({ origin })
      await tab.begin(10)
      expect(await tab.skipPauses(tab.failure())).toMatchObject({
        ...{ type, code: 'unreachable', status: 0 },
        message:
          `No response to POST ${context().worker}/files/upload-url. ` +
          `Check baseUrl, and that CORS_ORIGINS includes ${origin}.`,
      })
      expect(tab.silences()).toBe(FIRST_TRIES)
    })

    it.each([
      { multipart: false, atATime: 1 },
      { multipart: true, atATime: 4 },
    ])('names the CORS rules of the bucket (in parts: $multipart)', async (options) => {
      const origin = context().pageWithoutBucket
      await using tab = await open({ origin })
      await tab.begin(4 * PART_BYTES, { multipart: options.multipart })
      expect(await tab.skipPauses(tab.failure())).toMatchObject({
        ...{ type, code: 'unreachable', status: 0 },
        message: `No response from the bucket. Check that its CORS rules allow ${origin}.`,
      })
      expect(tab.silences()).toBeLessThanOrEqual(FIRST_TRIES * options.atATime)
      expect(context().proxy.requests).toEqual([])
    })

    it('waits while the browser is offline', async () => {
      await using tab = await open()
      await tab.page.context().setOffline(true)
      await tab.begin(10)
      const stalls = [`No response to POST ${context().worker}/files/upload-url`]
      await expect.poll(() => tab.stalls()).toEqual(stalls)
      await tab.page.clock.runFor(3_600_000)
      expect(tab.silences()).toBe(1)
      await tab.page.context().setOffline(false)
      expect(await tab.end()).toMatchObject({ size: 10 })
    })
  })

  it('shows that the Worker is unreachable, and continues when it is back', async () => {
    await using tab = await open()
    const held = Promise.withResolvers<null>()
    context().proxy.failure = ({ partNumber }) => (partNumber > 1 ? held.promise : null)
    await tab.begin(SIZE, { multipart: true })
    await tab.partsTaken(1)
    await context().workerProcess.kill()
    held.resolve(null)
    await expectStall(tab, /^No response to POST http:.*\/complete$/, 1)
    await context().workerProcess.start()
    await expectWhole(tab)
  })

  it('shows that the bucket is unreachable, and continues when it is back', async () => {
    await using tab = await open()
    const held = Promise.withResolvers<'cut'>()
    context().proxy.failure = ({ partNumber }) => (partNumber > 1 ? held.promise : null)
    await tab.begin(SIZE, { multipart: true })
    await tab.partsTaken(1)
    await context().bucketProcess.kill()
    context().proxy.reset()
    held.resolve('cut')
    await expectStall(tab, /^No response from the bucket$/, 2)
    await context().bucketProcess.start()
    context().proxy.reset()
    const { key } = await tab.skipPauses(tab.end())
    const etag = partedEtag(SIZE)
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    expect((await tab.stalls()).at(-1)).toBe('')
    expect(tab.partNumbers()).not.toContain(1)
  })

  describe('with Uppy', () => {
    const PARTS = 3
    const BYTES = PARTS * 5 * 1024 ** 2
    /** The longest pause before the next try, of Uppy and of the client. */
    const PAUSE_MILLISECONDS = 5000

    const begin = async (failure: BucketProxy['failure']): Promise<Page> => {
      context().proxy.reset()
      context().proxy.failure = failure
      const tab = await (await context().browser.newContext()).newPage()
      await tab.clock.install()
      await tab.goto(`${context().page}/uppy`)
      const { worker: baseUrl, apiKey: token } = context()
      await tab.evaluate(([setup, size]) => page.upload(setup, size, {}), [
        { baseUrl, token, multipart: true },
        BYTES,
      ] as const)
      return tab
    }
    const outcome = (tab: Page) => tab.evaluate(() => page.outcome())
    /** Waits until the upload reports why it stalls, and stops the page's clock. */
    const expectStall = async (tab: Page, message: RegExp): Promise<void> => {
      const stalls = async () => {
        await tab.clock.fastForward(PAUSE_MILLISECONDS)
        return (await outcome(tab)).stalls.at(-1)
      }
      await expect.poll(stalls).toMatch(message)
      await tab.clock.pauseAt((await tab.evaluate(() => Date.now())) + 1000)
    }
    const expectWhole = async (tab: Page): Promise<void> => {
      await tab.clock.fastForward(PAUSE_MILLISECONDS)
      await tab.clock.resume()
      await expect.poll(async () => (await outcome(tab)).events).toContain('complete 1 0')
      const { events, stalls } = await outcome(tab)
      const key = events.find((event) => event.startsWith('record'))?.split(' ')[1] ?? ''
      expect(await context().head(key)).toMatchObject({ size: BYTES })
      expect(stalls.at(-1)).toBe('')
      await tab.context().close()
    }

    it('shows that the Worker is unreachable, and continues when it is back', async () => {
      const held = Promise.withResolvers<null>()
      const tab = await begin(({ partNumber }) => (partNumber === 2 ? held.promise : null))
      await expect.poll(() => context().proxy.requests.at(-1)?.partNumber).toBe(2)
      await context().workerProcess.kill()
      held.resolve(null)
      await expectStall(tab, /^No response to POST http:.*\/s3\/sign$/)
      await context().workerProcess.start()
      await expectWhole(tab)
    })

    it('shows that the bucket is unreachable, and continues when it is back', async () => {
      const held = Promise.withResolvers<'cut'>()
      const tab = await begin(({ partNumber }) => (partNumber === 2 ? held.promise : null))
      await expect.poll(() => context().proxy.requests.at(-1)?.partNumber).toBe(2)
      await context().bucketProcess.kill()
      context().proxy.failure = () => null
      held.resolve('cut')
      await expectStall(tab, /./)
      await context().bucketProcess.start()
      await expectWhole(tab)
      const sent = context().proxy.requests.map(({ partNumber }) => partNumber)
      expect(sent.filter((partNumber) => partNumber === 1)).toHaveLength(1)
    })
  })
}
