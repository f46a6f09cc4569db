import type { BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { FileRecord } from '../../../client/src/answers/files.ts'
import type {
  ClientPage,
  PageClient,
  PageFailure,
  PageFile,
  PageUpload,
} from '../../../client/test/page-api.ts'
import { patternBytes } from '../pattern-bytes.ts'
import { etagOf } from '../uppy/context.ts'
import type { BucketRequest } from './bucket-proxy.ts'
import type { ClientContext } from './context.ts'

declare const page: ClientPage

/** The part size that the Worker chooses for the files of these tests. */
export const PART_BYTES = 8 * 1024 ** 2

/** The page's own id among those that hold locks, and all of them. */
const LOCK_OWNERS = `navigator.locks.query().then(({ held }) => held.map(({ clientId }) => clientId))`
const LOCK_OWNER = `navigator.locks.request('test', () => navigator.locks.query()).then(({ held }) => held.find(({ name }) => name === 'test').clientId)`

/** The client's shortest pause before it sends a request again. */
const STEP_MILLISECONDS = 250

/** One tab with the client, connected to the Worker. */
export interface ClientTab extends AsyncDisposable {
  readonly page: Page
  /** Creates another client. */
  connect(options?: Partial<PageClient>): Promise<void>
  /** Starts the upload of a file of `size` bytes, with a different byte at `changedAt`. */
  begin(size: number, options?: PageUpload, changedAt?: number): Promise<void>
  /** Resolves with the upload's record. */
  end(): Promise<FileRecord>
  /** Resolves with the upload's error. */
  failure(): Promise<PageFailure>
  progress(): Promise<readonly number[]>
  /**
   * The messages about what stalled the upload, in order. An empty message means that it continued.
   */
  stalls(): Promise<readonly string[]>
  /** The number of requests without a response. */
  silences(): number
  /** Calls another method of the client. Resolves with its result or its error. */
  call(...args: Parameters<ClientPage['call']>): Promise<unknown>
  /** Checks that the progress only grew until everything was sent. */
  expectGrowth(size: number): Promise<void>
  /** Requests to the bucket that sent a part. */
  parts(): readonly BucketRequest[]
  /** The numbers of the parts that were sent, in order. */
  partNumbers(): readonly number[]
  /** Waits until the bucket has accepted that many parts. */
  partsTaken(count: number): Promise<void>
  /** Moves the page's clock while no request is running, until `result` is settled. */
  skipPauses<T>(result: Promise<T>): Promise<T>
  /** Loads the page again, as a user does, and connects. */
  reload(): Promise<void>
  close(): Promise<void>
}

export interface ClientTabOptions {
  /** The page's origin, by default `context.page`. */
  readonly origin?: string
  /**
   * The browser context of another tab, to share its storage and locks. Whoever opened it closes
   * it.
   */
  readonly browserContext?: BrowserContext
  /** Whether the page's clock stands still, except when the test moves it. */
  readonly isClockStopped?: boolean
}

/** Opens a tab. An uncaught error of the page fails the test when the tab closes. */
export async function openClientTab(
  context: ClientContext,
  { origin = context.page, browserContext: shared, isClockStopped = false }: ClientTabOptions = {},
): Promise<ClientTab> {
  const browserContext = shared ?? (await context.browser.newContext())
  const tab = await browserContext.newPage()
  const errors: string[] = []
  let running = 0
  let silences = 0
  tab.on('request', () => running++)
  tab.on('requestfinished', () => running--)
  tab.on('requestfailed', () => {
    running--
    silences++
  })
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
  if (isClockStopped) await tab.clock.install()
  await tab.goto(origin)
  if (isClockStopped) await tab.clock.pauseAt(Date.now() + 60_000)
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
      const { value, failure } = await tab.evaluate(() => page.end())
      expect(failure).toBeNull()
      if (value === null) throw new Error('There is no record.')
      return value
    },
    async failure() {
      const { failure } = await tab.evaluate(() => page.end())
      if (failure === null) throw new Error('It did not fail.')
      return failure
    },
    progress,
    stalls: () => tab.evaluate(() => page.stalls()),
    silences: () => silences,
    async call(...args) {
      const { value, failure } = await tab.evaluate((given) => page.call(...given), args)
      return failure ?? value
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
      expect.poll(() => parts().filter(({ status }) => status === 200).length).toBe(count),
    async skipPauses(result) {
      let isOver = false
      const end = () => {
        isOver = true
      }
      result.then(end, end)
      const skip = async () => {
        if (!isOver && running === 0) await tab.clock.fastForward(STEP_MILLISECONDS)
        return isOver
      }
      await expect.poll(skip, { interval: 10 }).toBe(true)
      return result
    },
    async reload() {
      const former = await tab.evaluate(LOCK_OWNER)
      await tab.reload()
      // On a busy machine, the page that has gone holds its locks for longer than the client waits.
      await expect.poll(() => tab.evaluate(LOCK_OWNERS)).not.toContain(former)
      await connect()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const ascending = (one: number, other: number): number => one - other

/** The file of that size. */
export const fileOf = (size: number): PageFile => ({
  name: 'Grüße.bin',
  type: 'video/mp4',
  size,
  lastModified: 1_700_000_000_000,
})

/** Returns the ETag of an object from a multipart upload. */
export const partedEtag = (size: number): string => etagOf(patternBytes(size), PART_BYTES)
