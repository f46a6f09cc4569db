import { logCut, pipeOf, pump, withinCacheTime } from '../../core/pump.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { lead, type Turn, Turns } from '../../errors/turns.ts'
import type { Warning } from '../../errors/warnings.ts'
import { coversAll } from './byte-range.ts'

/** How long a request waits for a complete copy, also if it stores that itself for a range. */
const MAX_STORING_MILLISECONDS = 1000
/** Maximum time to fill a copy. A purge is remembered for this time. */
const MAX_FILL_SECONDS = 3600

/** Header of a mark: names an object's complete copy, and starts with the time of its fetch. */
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

/** The requests of this isolate that are fetching a copy, by its URL. */
const filling = new Turns()

/**
 * Returns the copy. If another request is fetching it, waits for the bucket's answer to that, and
 * then for up to a second for the copy. Many clients of a new object thus cost the bucket one
 * request, as with Workers Caching. Throws the error that the bucket's answer means. Without a copy,
 * returns null, or the turn of this request to fetch one if it `mayFetch` and no other one does: a
 * copy is read to its end even if the client leaves. Returns undefined if the Cache API fails.
 */
export async function findCopy(
  wanted: Wanted,
  now: Date,
  mayFetch: boolean,
): Promise<Response | Turn | null | undefined> {
  const { url } = wanted
  let copy = await matchCopy(wanted)
  for (let isAnswered = false; copy === null && !isAnswered; copy = await matchCopy(wanted)) {
    const other = filling.find(url)
    if (other === undefined) break
    isAnswered = (await other.wait(now)) !== null
    if (isAnswered) await other.ended(MAX_STORING_MILLISECONDS)
  }
  const isFree = mayFetch && filling.find(url) === undefined
  return copy === null && isFree ? filling.begin(url, deadlineOf(now)) : copy
}

/** Ends the turn from `findCopy` to fetch the copy of `url`. */
export const endFill = (url: string, turn: Turn): void => filling.end(url, turn)

/** The requests of this isolate that are opening an object, by its URL. */
const opening = new Turns()

/**
 * Opens an object. If another request for it waits for the bucket's answer, waits too, and throws its
 * error. An error is not cached, so many clients would otherwise each ask a bucket that fails.
 */
export async function openOnce(
  url: string,
  now: Date,
  open: () => Promise<Response>,
): Promise<Response> {
  for (let other = opening.find(url); other !== undefined; other = opening.find(url))
    if ((await other.wait(now)) !== null) return open()
  const turn = opening.begin(url, deadlineOf(now))
  try {
    return await lead(turn, async () => {
      const opened = await open()
      turn.succeed()
      return opened
    })
  } finally {
    opening.end(url, turn)
  }
}

/** A copy that is being fetched. */
export interface Fill {
  /** When it started, in milliseconds since 1970. */
  readonly startedAt: number
  /** Tells whether there was no purge since the start. Also false if unknown. */
  isCurrent(): Promise<boolean>
  /** Drops what was made from the copy, after a purge that the copy outlived for a moment. */
  dropMade(): Promise<void>
}

/** Starts a fill. Call this before the request to the bucket for the object of `url`. */
export async function beginFill(
  url: string,
  dropMade: (url: string) => Promise<void>,
): Promise<Fill> {
  const startedAt = Date.now()
  const end = startedAt + MAX_FILL_SECONDS * 1000
  const purged = await lastPurge(url)
  return {
    startedAt,
    isCurrent: async () =>
      purged !== undefined && (await lastPurge(url)) === purged && Date.now() < end,
    dropMade: () => dropMade(url),
  }
}

/** Returns the id of the last purge of `url`, null if there was none, undefined if unknown. */
const lastPurge = (url: string): Promise<string | null | undefined> =>
  attempt(
    'match',
    async (cache) => (await cache.match(purgeUrl(url)))?.headers.get(PURGE_ID) ?? null,
  )

/** Drops the copy of `url`, and any being filled in this location. Throws Error if that fails. */
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
 * Serves a complete object while the Cache API stores a copy, as Workers Caching does itself. For a
 * partial `range`, stores the copy first and returns the range from it. Returns null if that takes
 * longer than a second, or the Cache API stores nothing, as on workers.dev. Throws `storage_error`
 * if the bucket's response breaks off. `about` is for the log of a cut delivery.
 */
export async function serveAndKeep(
  wanted: Wanted,
  fill: Fill,
  whole: Response,
  waitUntil: (work: Promise<unknown>) => void,
  about: object,
): Promise<Response | null> {
  if (whole.body === null) return whole
  const { url, range } = wanted
  const length = whole.headers.get('content-length')
  const copy = pipeOf(length)
  const copied = new Response(copy.readable, whole)
  if (range !== null && !coversAll(range, Number(length))) {
    const kept = keepCopy(url, fill, copied, pump(whole.body, { copy: copy.writable }, length))
    // If that takes long, it continues for the next request.
    waitUntil(kept)
    const late = new Promise<false>((resolve) =>
      setTimeout(resolve, MAX_STORING_MILLISECONDS, false),
    )
    return (await Promise.race([kept, late])) ? ((await matchCopy(wanted)) ?? null) : null
  }
  const client = pipeOf(length)
  const sinks = { client: client.writable, copy: copy.writable }
  const pumped = pump(whole.body, sinks, length)
  waitUntil(keepCopy(url, fill, copied, pumped).catch((error) => logCut(about, error)))
  return new Response(client.readable, whole)
}

/**
 * Stores the copy, and resolves with whether that worked. A copy is valid only after a mark names
 * it, since the Cache API may silently store a truncated body. Throws what `pumped` throws.
 */
export async function keepCopy(
  url: string,
  fill: Fill,
  copy: Response,
  pumped: Promise<boolean>,
): Promise<boolean> {
  const id = `${fill.startedAt}-${crypto.randomUUID()}`
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
      await fill.dropMade()
      return false
    }
    isKept = (await attempt('put', mark)) ?? false
  } finally {
    if (!isKept) await attempt('delete', (cache) => cache.delete(copyUrl(url, id)))
  }
  return isKept
}

/** Returns the result, or logs and returns undefined if the Cache API fails or hangs. */
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
