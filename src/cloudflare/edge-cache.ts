import { coversAll } from '../delivery/byte-range.ts'
import { pipeOf, pump } from '../delivery/pump.ts'
import { withinCacheTime } from '../delivery/within.ts'
import type { Warning } from '../errors/warnings.ts'

const WAIT_MILLISECONDS = 20
const MAX_WAITS = 50
/** How long filling a copy may take. So long a purge is remembered. */
const MAX_FILL_SECONDS = 3600

/** Header of a mark: which copy of an object is complete, after the time of its fetch. */
const COPY_ID = 'X-Copy-Id'
/** Header of what a purge leaves behind. */
const PURGE_ID = 'X-Purge-Id'

/** A copy that is wanted. */
export interface Wanted {
  /** Name of the copy, without a query. */
  readonly url: string
  readonly range: string | null
  readonly maxAgeSeconds: number
}

/** The copy, or the range of it; null if there is no copy, undefined if the Cache API fails. */
const matchCopy = ({ url, range, maxAgeSeconds }: Wanted): Promise<Response | null | undefined> =>
  attempt('match', async (cache) => {
    const mark = await cache.match(url)
    const id = mark?.headers.get(COPY_ID)
    // Another alias of the bucket may let its copies live longer.
    if (typeof id !== 'string' || Date.now() - Number.parseInt(id, 10) >= maxAgeSeconds * 1000)
      return null
    const headers: HeadersInit = range === null ? {} : { Range: range }
    return (await cache.match(new Request(copyUrl(url, id), { headers }))) ?? null
  })

/** URLs whose copy this isolate is fetching from the bucket. */
const filling = new Set<string>()

/**
 * The copy; where another request is fetching it, once it has done so, waited for a second at most.
 * So a crowd at a new object costs the bucket one request, as it does behind Workers Caching. Null
 * if there is no copy, undefined if the Cache API fails.
 */
export async function findCopy(wanted: Wanted): Promise<Response | null | undefined> {
  let copy = await matchCopy(wanted)
  for (let waits = 0; waits < MAX_WAITS && copy === null && filling.has(wanted.url); waits++) {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS))
    copy = await matchCopy(wanted)
  }
  return copy
}

/** A copy in the making. */
export interface Fill {
  /** Whether no purge came since this began; false too if unknown. */
  isCurrent(): Promise<boolean>
  /** To be called in the end: others no longer wait for this copy. */
  end(): void
}

/** To be called before the bucket is asked for an object whose copy will be that of `url`. */
export async function beginFill(url: string): Promise<Fill> {
  filling.add(url)
  const end = Date.now() + MAX_FILL_SECONDS * 1000
  const purged = await lastPurge(url)
  return {
    isCurrent: async () =>
      purged !== undefined && (await lastPurge(url)) === purged && Date.now() < end,
    end: () => filling.delete(url),
  }
}

/** Id of the last purge of `url`, null if there was none; undefined if unknown. */
const lastPurge = (url: string): Promise<string | null | undefined> =>
  attempt(
    'match',
    async (cache) => (await cache.match(purgeUrl(url)))?.headers.get(PURGE_ID) ?? null,
  )

/**
 * Forgets the copy of `url`, and any that is being filled in this location. Throws Error where the
 * Cache API fails.
 */
export async function dropCopy(url: string): Promise<void> {
  const headers = {
    'Cache-Control': `max-age=${MAX_FILL_SECONDS}`,
    [PURGE_ID]: crypto.randomUUID(),
  }
  // In this order: a fill that doesn't see the purge has written its mark, which is then deleted.
  try {
    await withinCacheTime(caches.default.put(purgeUrl(url), new Response(null, { headers })))
  } finally {
    await withinCacheTime(caches.default.delete(url))
  }
}

/**
 * Serves the whole of an object while the Cache API keeps a copy, which is what Workers Caching
 * does by itself where it runs. For a `range` that is not everything the copy is made first, and
 * the range cut from it; null where the Cache API keeps nothing, as on workers.dev. Throws
 * `storage_error` where the bucket breaks off.
 */
export async function serveAndKeep(
  wanted: Wanted,
  fill: Fill,
  whole: Response,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response | null> {
  if (whole.body === null) return whole
  const { url, range } = wanted
  const length = whole.headers.get('content-length')
  const copy = pipeOf(length)
  const copied = new Response(copy.readable, whole)
  if (range !== null && !coversAll(range, Number(length)))
    return (await keep(url, fill, copied, pump(whole.body, { copy: copy.writable })))
      ? ((await matchCopy(wanted)) ?? null)
      : null
  const client = pipeOf(length)
  const sinks = { client: client.writable, copy: copy.writable }
  waitUntil(keep(url, fill, copied, pump(whole.body, sinks)))
  return new Response(client.readable, whole)
}

/**
 * Whether the copy was kept. It only counts once a mark names it: the Cache API may keep a body
 * that was cut short, and say nothing of it. Throws what `pumped` throws.
 */
async function keep(
  url: string,
  fill: Fill,
  copy: Response,
  pumped: Promise<boolean>,
): Promise<boolean> {
  const id = `${Date.now()}-${crypto.randomUUID()}`
  const headers = {
    'Cache-Control': copy.headers.get('cache-control') ?? 'no-store',
    [COPY_ID]: id,
  }
  const put = caches.default.put(copyUrl(url, id), copy)
  put.catch(() => undefined)
  let isKept = false
  try {
    const isWhole = await pumped
    const mark = async (cache: Cache) => {
      await put
      if (!(isWhole && (await fill.isCurrent()))) return false
      await cache.put(url, new Response(null, { headers }))
      if (await fill.isCurrent()) return true
      await cache.delete(url)
      return false
    }
    isKept = (await attempt('put', mark)) ?? false
  } finally {
    if (!isKept) await attempt('delete', (cache) => cache.delete(copyUrl(url, id)))
  }
  return isKept
}

/**
 * What `work` makes of the Cache API; undefined where that fails or hangs, which the log shows. A
 * link can do without.
 */
async function attempt<T>(
  operation: 'match' | 'put' | 'delete',
  work: (cache: Cache) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await withinCacheTime(work(caches.default))
  } catch (error) {
    const reason = error instanceof Error ? error.name : typeof error
    const warning: Warning = `The Cache API failed to ${operation}.`
    console.warn(JSON.stringify({ warning, reason }))
    return undefined
  }
}

const copyUrl = (url: string, id: string): string => `${url}?copy=${id}`

const purgeUrl = (url: string): string => `${url}?purged`
