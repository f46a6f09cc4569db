import { coversAll } from '../delivery/byte-range.ts'
import { pipeOf, pump } from '../delivery/pump.ts'
import { withinCacheTime } from '../delivery/within.ts'
import type { Warning } from '../errors/warnings.ts'

const WAIT_MILLISECONDS = 20
const MAX_WAITS = 50
/** Maximum time to fill a copy. A purge is remembered for this time. */
const MAX_FILL_SECONDS = 3600

/**
 * Header of a mark. It names the complete copy of an object, and starts with the time of its fetch.
 */
const COPY_ID = 'X-Copy-Id'
/** Header of the entry that a purge leaves. */
const PURGE_ID = 'X-Purge-Id'

/** A requested copy. */
export interface Wanted {
  /** Name of the copy, without a query. */
  readonly url: string
  readonly range: string | null
  readonly maxAgeSeconds: number
}

/** Returns the copy, or its range. Null without a copy, undefined if the Cache API fails. */
const matchCopy = ({ url, range, maxAgeSeconds }: Wanted): Promise<Response | null | undefined> =>
  attempt('match', async (cache) => {
    const mark = await cache.match(url)
    const id = mark?.headers.get(COPY_ID)
    // Another alias of the bucket may allow older copies.
    if (typeof id !== 'string' || Date.now() - Number.parseInt(id, 10) >= maxAgeSeconds * 1000)
      return null
    const headers: HeadersInit = range === null ? {} : { Range: range }
    return (await cache.match(new Request(copyUrl(url, id), { headers }))) ?? null
  })

/** URLs of the copies that this isolate is fetching from the bucket. */
const filling = new Set<string>()

/**
 * Returns the copy. If another request is fetching it, waits for up to a second. So many clients of
 * a new object cost the bucket one request, as with Workers Caching. Returns null without a copy,
 * undefined if the Cache API fails.
 */
export async function findCopy(wanted: Wanted): Promise<Response | null | undefined> {
  let copy = await matchCopy(wanted)
  for (let waits = 0; waits < MAX_WAITS && copy === null && filling.has(wanted.url); waits++) {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS))
    copy = await matchCopy(wanted)
  }
  return copy
}

/** A copy that is being fetched. */
export interface Fill {
  /** Tells whether there was no purge since the start. Also false if unknown. */
  isCurrent(): Promise<boolean>
  /** Call this at the end. Other requests then stop waiting for this copy. */
  end(): void
}

/** Starts a fill. Call this before the request to the bucket for the object of `url`. */
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

/** Returns the id of the last purge of `url`, null if there was none, undefined if unknown. */
const lastPurge = (url: string): Promise<string | null | undefined> =>
  attempt(
    'match',
    async (cache) => (await cache.match(purgeUrl(url)))?.headers.get(PURGE_ID) ?? null,
  )

/**
 * Drops the copy of `url`, and any that is being filled in this location. Throws Error if the Cache
 * API fails.
 */
export async function dropCopy(url: string): Promise<void> {
  const headers = {
    'Cache-Control': `max-age=${MAX_FILL_SECONDS}`,
    [PURGE_ID]: crypto.randomUUID(),
  }
  // The order matters: a fill that misses the purge entry has already written its mark, which is
  // then deleted.
  try {
    await withinCacheTime(caches.default.put(purgeUrl(url), new Response(null, { headers })))
  } finally {
    await withinCacheTime(caches.default.delete(url))
  }
}

/**
 * Serves a complete object while the Cache API stores a copy. Workers Caching does that
 * automatically. For a partial `range`, stores the copy first and returns the range from it.
 * Returns null if the Cache API stores nothing, as on workers.dev. Throws `storage_error` if the
 * bucket's response breaks off.
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
 * Stores the copy, and resolves with whether that worked. A copy is valid only after a mark names
 * it, since the Cache API may silently store a truncated body. Throws what `pumped` throws.
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
 * Returns the result of `work`. If the Cache API fails or hangs, writes a log line and returns
 * undefined, since a link also works without the cache.
 */
export async function attempt<T>(
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
