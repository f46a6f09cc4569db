import { ApiError } from '../errors/api-error.ts'
import { coversAll } from './byte-range.ts'

const WAIT_MILLISECONDS = 20
const MAX_WAITS = 50

/** Header of a mark: which copy of an object is complete. */
const COPY_ID = 'X-Copy-Id'

/** The copy of `url`, or `range` of it; undefined where there is none. */
export async function matchCopy(url: string, range: string | null): Promise<Response | undefined> {
  const mark = await caches.default.match(url)
  const id = mark?.headers.get(COPY_ID)
  if (typeof id !== 'string') return undefined
  const headers: HeadersInit = range === null ? {} : { Range: range }
  return caches.default.match(new Request(copyUrl(url, id), { headers }))
}

/** URLs whose copy this isolate is fetching from the bucket. */
const filling = new Set<string>()

/**
 * The copy of `url` once another request has fetched it, waited for a second at most; undefined at
 * once where nobody is fetching it. So a crowd at a new object costs the bucket one request, as it
 * does behind Workers Caching.
 */
export async function awaitCopy(url: string, range: string | null): Promise<Response | undefined> {
  for (let waits = 0; waits < MAX_WAITS && filling.has(url); waits++) {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MILLISECONDS))
    const copy = await matchCopy(url, range)
    if (copy !== undefined) return copy
  }
  return undefined
}

/** Tells others that `url` is being fetched, until the returned function is called. */
export function announceFill(url: string): () => void {
  filling.add(url)
  return () => filling.delete(url)
}

/** Forgets the copy of `url`. */
export async function dropCopy(url: string): Promise<void> {
  await caches.default.delete(url)
}

/**
 * Serves the whole of an object while the Cache API keeps a copy, which is what Workers Caching
 * does by itself where it runs. For a `range` that is not everything the copy is made first, and
 * the range cut from it; undefined where the Cache API keeps nothing, as on workers.dev. Throws
 * `storage_error` where the bucket breaks off.
 *
 * Nothing is buffered: the slower of the two readers sets the pace. A client that goes away does
 * not end the copy.
 */
export async function serveAndKeep(
  url: string,
  whole: Response,
  range: string | null,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response | undefined> {
  if (whole.body === null) return whole
  const size = Number(whole.headers.get('content-length'))
  const copy = new FixedLengthStream(size)
  const copied = new Response(copy.readable, whole)
  if (range !== null && !coversAll(range, size)) {
    const pumped = pump(whole.body, copy.writable)
    const kept = await keep(url, copied, pumped)
    if (kept) return matchCopy(url, range)
    if (await pumped) return undefined
    throw new ApiError('storage_error', 'The bucket broke off its answer.')
  }
  const client = new FixedLengthStream(size)
  waitUntil(keep(url, copied, pump(whole.body, copy.writable, client.writable)))
  return new Response(client.readable, whole)
}

/**
 * Whether the copy was kept. It only counts once a mark names it: the Cache API may keep a body
 * that was cut short, and say nothing of it.
 */
async function keep(url: string, copy: Response, pumped: Promise<boolean>): Promise<boolean> {
  const id = crypto.randomUUID()
  const headers = {
    'Cache-Control': copy.headers.get('cache-control') ?? 'no-store',
    [COPY_ID]: id,
  }
  const put = caches.default.put(copyUrl(url, id), copy).then(
    () => true,
    () => false,
  )
  const [isPut, isWhole] = await Promise.all([put, pumped])
  if (isPut && isWhole) await caches.default.put(url, new Response(null, { headers }))
  else await caches.default.delete(copyUrl(url, id))
  return isPut && isWhole
}

const copyUrl = (url: string, id: string): string => `${url}?copy=${id}`

/**
 * Copies `source` to the sinks at the pace of the slowest, and says whether all of it came. A sink
 * that fails is left behind; a source that fails fails the sinks.
 */
async function pump(
  source: ReadableStream<Uint8Array>,
  ...sinks: readonly WritableStream<Uint8Array>[]
): Promise<boolean> {
  let open = sinks.map((sink) => sink.getWriter())
  const toAll = async (act: (writer: WritableStreamDefaultWriter) => Promise<void>) => {
    const done = await Promise.all(
      open.map((writer) =>
        act(writer).then(
          () => true,
          () => false,
        ),
      ),
    )
    open = open.filter((_, index) => done[index])
  }
  try {
    for await (const chunk of source) {
      await toAll((writer) => writer.write(chunk))
      if (open.length === 0) return false
    }
    const before = open.length
    await toAll((writer) => writer.close())
    return open.length === before
  } catch (error) {
    await toAll((writer) => writer.abort(error))
    return false
  }
}
