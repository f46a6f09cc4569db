import type { BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { FileRecord } from '../../../client/src/responses.ts'
import type {
  ClientPage,
  PageClient,
  PageFault,
  PageFile,
  PageUpload,
} from '../../../client/test/page-api.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { etagOf } from '../uppy/context.ts'
import type { BucketRequest } from './bucket-proxy.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** What the Worker cuts the files of these tests into. */
export const PART_BYTES = 8 * 1024 ** 2

/** The servers that the client is tried with. */
export type ServerName = 'Ceph RGW' | 's3rver' | 'simulated R2'

/** One tab with the client, connected to the Worker. */
export interface ClientTab extends AsyncDisposable {
  readonly page: Page
  /** Makes another client. */
  connect(options?: Partial<PageClient>): Promise<void>
  /** Starts the upload of a file of `size` bytes, of which that at `changedAt` differs. */
  begin(size: number, options?: PageUpload, changedAt?: number): Promise<void>
  /** The record that it ends with. */
  end(): Promise<FileRecord>
  /** The fault that it ends with. */
  fault(): Promise<PageFault>
  progress(): Promise<readonly number[]>
  /** Messages of what stalled the upload, in order; an empty one where it went on. */
  stalls(): Promise<readonly string[]>
  /** How many requests have had no answer. */
  silences(): number
  /** What another method of the client gives, or fails with. */
  call(...args: Parameters<ClientPage['call']>): Promise<unknown>
  /** Sees that progress did nothing but grow, until all was sent. */
  expectGrowth(size: number): Promise<void>
  /** Requests to the bucket that sent a part. */
  parts(): readonly BucketRequest[]
  /** Numbers of the parts that were sent, in order. */
  partNumbers(): readonly number[]
  /** Waits until the bucket has taken that many. */
  partsTaken(count: number): Promise<void>
  /** Loads the page again, as a user does, and connects. */
  reload(): Promise<void>
  close(): Promise<void>
}

export interface ClientTabOptions {
  /** Where the page is, unless at `context.page`. */
  readonly origin?: string
  /** With another tab there, whose storage and locks it shares; the one that opened it closes it. */
  readonly browserContext?: BrowserContext
  /** How much faster than the clock on the wall the page's own timers run. */
  readonly clockSpeed?: number
}

/** Opens one. What the page throws by itself is a fault of the test when it closes. */
export async function openClientTab(
  context: ClientContext,
  { origin = context.page, browserContext: shared, clockSpeed = 1 }: ClientTabOptions = {},
): Promise<ClientTab> {
  const browserContext = shared ?? (await context.browser.newContext())
  const tab = await browserContext.newPage()
  if (clockSpeed !== 1) await tab.addInitScript(speedUpClock, clockSpeed)
  const errors: string[] = []
  let silences = 0
  tab.on('requestfailed', () => silences++)
  tab.on('pageerror', ({ message }) => errors.push(message))
  const connect = (options: Partial<PageClient> = {}) =>
    tab.evaluate((given) => page.connect(given), {
      baseUrl: context.worker,
      token: context.apiKey,
      ...options,
    })
  const parts = () =>
    context.proxy.requests.filter(({ method, partNumber }) => method === 'PUT' && partNumber > 0)
  const progress = () => tab.evaluate(() => page.progress())

  const close = async () => {
    if (!shared) await browserContext.close()
    expect(errors).toEqual([])
  }

  if (!shared) context.proxy.reset()
  await tab.goto(origin)
  await connect()
  return {
    page: tab,
    connect,
    begin: (size, options = {}, changedAt) =>
      tab.evaluate(([file, given]) => page.begin(file, given), [
        { ...fileOf(size), ...(changedAt !== undefined && { changedAt }) },
        options,
      ] as const),
    async end() {
      const { value, fault } = await tab.evaluate(() => page.end())
      expect(fault).toBeNull()
      if (value === null) throw new Error('There is no record.')
      return value
    },
    async fault() {
      const { fault } = await tab.evaluate(() => page.end())
      if (fault === null) throw new Error('It did not fail.')
      return fault
    },
    progress,
    stalls: () => tab.evaluate(() => page.stalls()),
    silences: () => silences,
    async call(...args) {
      const { value, fault } = await tab.evaluate((given) => page.call(...given), args)
      return fault ?? value
    },
    async expectGrowth(size) {
      const sent = await progress()
      expect(sent.at(-1)).toBe(size)
      expect(sent).toEqual([...new Set(sent)].toSorted((one, other) => one - other))
    },
    parts,
    partNumbers: () =>
      parts()
        .map(({ partNumber }) => partNumber)
        .toSorted(ascending),
    partsTaken: (count) =>
      expect
        .poll(() => parts().filter(({ status }) => status === 200).length, { timeout: 20_000 })
        .toBe(count),
    async reload() {
      await tab.reload()
      await connect()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Runs in the page, before its scripts. */
function speedUpClock(factor: number): void {
  const { setTimeout, setInterval } = globalThis
  const now = Date.now
  const begun = now()
  Date.now = () => begun + (now() - begun) * factor
  Object.assign(globalThis, {
    setTimeout: (act: () => void, milliseconds = 0) => setTimeout(act, milliseconds / factor),
    setInterval: (act: () => void, milliseconds = 0) => setInterval(act, milliseconds / factor),
  })
}

const ascending = (one: number, other: number): number => one - other

/** The file of that size. */
export const fileOf = (size: number): PageFile => ({
  name: 'Grüße.bin',
  type: 'video/mp4',
  size,
  lastModified: 1_700_000_000_000,
})

/** The ETag of an object that was uploaded in parts; s3rver has it of the bytes as such. */
export const partedEtag = (size: number, server: ServerName): string =>
  etagOf(patternBytes(size), server === 's3rver' ? null : PART_BYTES)
