import { afterEach, beforeEach, expect, it } from 'vitest'
import { coded } from '../../support/errors.ts'
import type { Failure } from './bucket-proxy.ts'
import { type ClientTab, openClientTab, PART_BYTES, partedEtag } from './client-tab.ts'
import type { ClientContext } from './context.ts'

/** Three parts. */
const SIZE = 2 * PART_BYTES + 1000

/** The errors that can occur while a part is sent. */
export function failureRules(context: () => ClientContext): void {
  let tab: ClientTab

  beforeEach(async () => {
    tab = await openClientTab(context(), { isClockStopped: true })
  })
  afterEach(() => tab.close())

  const expectWhole = async (): Promise<void> => {
    const { key } = await tab.skipPauses(tab.end())
    const etag = partedEtag(SIZE)
    expect(await context().head(key)).toMatchObject({ size: SIZE, etag })
    await tab.expectGrowth(SIZE)
  }

  it('waits for the network, and continues', async () => {
    const lost = Promise.withResolvers<'cut'>()
    context().proxy.failure = ({ partNumber }) => (partNumber > 1 ? lost.promise : null)
    await tab.begin(SIZE, { multipart: true })
    await tab.partsTaken(1)
    await expect.poll(() => tab.parts().length).toBe(3)
    await tab.page.context().setOffline(true)
    lost.resolve('cut')
    await expect.poll(() => tab.stalls()).toEqual(['No response from the bucket'])
    await expect.poll(() => tab.silences()).toBe(2)
    context().proxy.reset()
    await tab.page.clock.runFor(3_600_000)
    expect(tab.silences()).toBe(2) // There are no attempts without a network.
    await tab.page.context().setOffline(false)
    await expectWhole()
    expect(tab.partNumbers()).toEqual([2, 3])
  })

  it('retries while the bucket refuses or drops requests', async () => {
    const failures: Failure[] = [503, 'cut', 429, 503, 'cut', 429]
    context().proxy.failure = ({ partNumber }) =>
      partNumber > 1 ? (failures.shift() ?? null) : null
    await tab.begin(SIZE, { multipart: true })
    await expectWhole()
    expect(failures).toEqual([])
  })

  it("waits for the Worker's Retry-After when the bucket is busy", async () => {
    let requests = 0
    await tab.page.route('**/multipart', (route) => {
      if (++requests > 1) return route.continue()
      return route.fulfill({
        status: 503,
        headers: {
          'Access-Control-Allow-Origin': '*',
          'Access-Control-Expose-Headers': 'Retry-After',
          'Retry-After': '60',
        },
        json: { code: 'unavailable', reason: 'storage', message: 'The bucket is busy.' },
      })
    })
    await tab.begin(SIZE, { multipart: true })
    await expect.poll(() => tab.stalls()).toEqual(['The bucket is busy.'])
    await tab.page.clock.runFor(60_000)
    expect(await tab.stalls()).toEqual(['The bucket is busy.'])
    expect(requests).toBe(1)
    await expectWhole()
    expect(requests).toBe(2)
  })

  // @threat retry-futile
  it('does not repeat a request after an error that lasts', async () => {
    const codes = [
      'misconfigured clock',
      'misconfigured credentials',
      'misconfigured expired',
      'misconfigured settings',
    ]
    for (const code of codes) {
      let requests = 0
      await tab.page.route('**/multipart', (route) => {
        requests++
        const headers = { 'Access-Control-Allow-Origin': '*' }
        return route.fulfill({ status: 503, headers, json: { ...coded(code), message: 'No.' } })
      })
      await tab.begin(SIZE, { multipart: true })
      expect(await tab.failure()).toMatchObject({ ...coded(code), status: 503 })
      expect(requests).toBe(1)
      await tab.page.unroute('**/multipart')
    }
  })

  it('reports that the clock of the bucket is ahead, after one PUT', async () => {
    let puts = 0
    await tab.page.route(
      (url) => url.searchParams.has('X-Amz-Signature'),
      (route) => {
        puts++
        const headers = {
          'Access-Control-Allow-Origin': '*',
          'Access-Control-Expose-Headers': 'ETag, Date',
          Date: new Date(Date.now() + 3_600_000).toUTCString(),
        }
        return route.fulfill({ status: 403, headers, body: '<Code>AccessDenied</Code>' })
      },
    )
    await tab.begin(1000)
    expect(await tab.failure()).toMatchObject({
      code: 'misconfigured',
      reason: 'clock',
      status: 403,
      message: expect.stringMatching(
        /^The bucket returned 403 AccessDenied\. Its clock is ahead: /,
      ),
    })
    expect(puts).toBe(1)
  })

  it('never signs in a loop, even if each URL expires at once', async () => {
    let signed = 0
    await tab.page.route('**/urls', async (route) => {
      signed++
      const response = await route.fetch()
      const json = { ...(await response.json()), expiresIn: Number.MIN_VALUE }
      return route.fulfill({ response, json })
    })
    await tab.begin(SIZE, { multipart: true })
    await expectWhole()
    expect(signed).toBeLessThanOrEqual(6)
  })

  it('requests a new URL when that of a part has expired', async () => {
    // A bucket refuses any expired URL: see contract/tampering.ts.
    let refused = false
    context().proxy.failure = ({ partNumber }) => {
      if (partNumber !== 2 || refused) return null
      refused = true
      return 403
    }
    await tab.begin(SIZE, { multipart: true })
    await expectWhole()
    const statuses = tab
      .parts()
      .flatMap(({ partNumber, status }) => (partNumber === 2 ? [status] : []))
    expect(statuses).toEqual([403, 200])
  })

  it('fails when the bucket also refuses the new URL, and resumes in the next upload', async () => {
    context().proxy.failure = ({ partNumber }) => (partNumber === 3 ? 403 : null)
    await tab.begin(SIZE, { multipart: true })
    expect(await tab.failure()).toMatchObject({
      type: 'PresignerError',
      code: 'bucket_refused',
      status: 403,
      message: 'The bucket returned 403 MadeUp',
    })
    const refused = tab.parts().filter(({ partNumber }) => partNumber === 3)
    expect(refused).toHaveLength(2)
    const taken = tab
      .parts()
      .flatMap(({ partNumber, status }) => (status === 200 ? [partNumber] : []))

    context().proxy.reset()
    await tab.begin(SIZE, { multipart: true })
    await expectWhole()
    expect(tab.partNumbers()).toContain(3)
    expect(tab.partNumbers().filter((partNumber) => taken.includes(partNumber))).toEqual([])
  })

  it('sends a part again when the bucket accepted it but does not have it', async () => {
    let lost = false
    context().proxy.failure = ({ partNumber }) => {
      if (partNumber !== 2 || lost) return null
      lost = true
      return 'lost'
    }
    await tab.begin(SIZE, { multipart: true })
    await expectWhole()
    expect(tab.partNumbers()).toEqual([1, 2, 2, 3])
  })

  it('reports CORS rules that hide the ETag of a part', async () => {
    await tab.page.route(
      (url) => url.searchParams.has('partNumber'),
      (route) => route.fulfill({ status: 200, headers: { 'Access-Control-Allow-Origin': '*' } }),
    )
    await tab.begin(SIZE, { multipart: true })
    expect(await tab.failure()).toMatchObject({ type: 'PresignerError', code: 'etag_hidden' })
  })

  it('requests a new URL when that of a whole file has expired', async () => {
    let isFirst = true
    context().proxy.failure = () => {
      if (!isFirst) return null
      isFirst = false
      return 403
    }
    await tab.begin(1000)
    const { key } = await tab.end()
    const puts = context().proxy.requests.map((request) => [request.status, request.key === key])
    expect(puts).toEqual([
      [403, false],
      [200, true],
    ])
  })
}
