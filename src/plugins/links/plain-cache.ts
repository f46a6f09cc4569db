import { logCut, pipeOf, relay, relayBody, withinCacheTime } from '../../core/relay.ts'
import { logWarning, type Warning } from '../../errors/warnings.ts'
import { withStatus } from './objects-protocol.ts'

/**
 * How long a copy lives where Workers Caching is missing. A delete reaches only its own location, and no
 * copy that is being filled, so this is also how long an object may be seen after it.
 */
export const PLAIN_SECONDS = 60
/** Maximum size of a copy. Its bytes are in memory until all of them have come. */
export const MAX_PLAIN_BYTES = 8 * 1024 ** 2
/** Bytes of copies in memory at a time. Without room, there is no copy. */
const MAX_HELD_BYTES = 24 * 1024 ** 2

/** The copies that are being filled. One ends by itself: a canceled request leaves no trace. */
const filling = new Set<{ readonly bytes: number; readonly until: number }>()

/** A response of `Objects` that may have a copy. */
export interface Kept {
  readonly url: string
  readonly range: string | null
  readonly isImage: boolean
  /** Tells from the headers of a copy whether it may still be served. */
  readonly isFresh: (copy: Headers) => boolean
  readonly waitUntil: (work: Promise<unknown>) => void
  /** For the log of a delivery that the bucket cuts. */
  readonly about: object
}

/**
 * Returns the copy in the Cache API of this location, or else what `open` returns, of which it keeps a
 * copy if `Cache-Control` allows that. Unlike Workers Caching, it joins no requests.
 */
export async function throughCacheApi(
  kept: Kept,
  open: () => Promise<Response>,
): Promise<Response> {
  const { url, range, isFresh, waitUntil, about } = kept
  const request = new Request(url, range === null ? {} : { headers: { Range: range } })
  const copy = await attempt('match', async (cache) => (await cache.match(request)) ?? null)
  if (copy && isFresh(copy.headers)) return copy
  copy?.body?.cancel().catch(() => undefined)
  const opened = await open()
  const { body, headers } = opened
  const length = headers.get('content-length')
  const size = body === null ? 0 : Number(length ?? Infinity)
  const mayKeep = copy !== undefined && headers.get('Cache-Control') !== 'no-store'
  const fill = mayKeep && size <= MAX_PLAIN_BYTES ? beginFill(size) : null
  if (fill === null) return withStatus(relay(opened, about)[0], 'BYPASS')

  // The Cache API would also keep a body that breaks off.
  const bytes = new Uint8Array(size)
  let at = 0
  const stored = new WritableStream<Uint8Array>({
    write(chunk) {
      if (Date.now() >= fill.until) throw new Error('The client is too slow.')
      bytes.set(chunk, at)
      at += chunk.byteLength
    },
  })
  const client = pipeOf(length)
  const keep = async () => {
    const isWhole =
      body === null || (await relayBody(body, { client: client.writable, copy: stored }, length))
    if (isWhole) await put(kept, new Response(body && bytes, opened))
  }
  waitUntil(
    keep()
      .catch((error: unknown) => logCut(about, error))
      .finally(() => filling.delete(fill)),
  )
  return withStatus(new Response(body && client.readable, opened), 'MISS')
}

/** Returns the fill of a copy, or null if there is no room for it. */
function beginFill(bytes: number) {
  const now = Date.now()
  let sum = bytes
  for (const other of filling)
    if (other.until <= now) filling.delete(other)
    else sum += other.bytes
  const fill = { bytes, until: now + PLAIN_SECONDS * 1000 }
  if (sum > MAX_HELD_BYTES) return null
  filling.add(fill)
  return fill
}

/** Whether this isolate has looked if the Cache API keeps anything. Once is enough for a warning. */
let isChecked = false

async function put({ url, isImage }: Kept, copy: Response): Promise<void> {
  await attempt('put', (cache) => cache.put(url, copy))
  if (!isImage || isChecked) return
  isChecked = true
  // Without a copy, as on workers.dev, each view is a call, which may be billed.
  if (!(await attempt('match', (cache) => cache.match(url))))
    logWarning('resized images are not kept', {})
}

/** Drops the copies of these URLs. Throws if the Cache API fails. */
export const dropCopies = (urls: readonly string[]): Promise<unknown> =>
  withinCacheTime(Promise.all(urls.map((url) => caches.default.delete(url))))

/** Returns the result, or logs and returns undefined if the Cache API fails or hangs. */
async function attempt<T>(
  operation: 'match' | 'put',
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
