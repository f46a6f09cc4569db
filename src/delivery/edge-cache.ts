import { coversAll } from './byte-range.ts'

/** The copy of `url`, or `range` of it; undefined where there is none. */
export const matchCopy = (url: string, range: string | null): Promise<Response | undefined> =>
  caches.default.match(new Request(url, { headers: range === null ? {} : { Range: range } }))

/** Forgets the copy of `url`. */
export async function dropCopy(url: string): Promise<void> {
  await caches.default.delete(url)
}

/**
 * Serves the whole of an object, or `range` of it, while the Cache API keeps a copy: what Workers Caching does by itself
 * where it runs. Undefined where the copy could not be made and `range` can't be cut from it.
 *
 * Nothing is buffered: the slower of the two readers sets the pace. A body that ends too early fails both, and no copy
 * stays. A client that goes away does not end the copy.
 */
export async function serveAndKeep(
  url: string,
  whole: Response,
  range: string | null,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response | undefined> {
  if (whole.body === null) return whole
  const size = Number(whole.headers.get('content-length'))
  if (range !== null && !coversAll(range, size)) {
    const kept = await keep(url, new Response(exactly(whole.body, size), whole))
    return kept ? matchCopy(url, range) : undefined
  }

  const client = new FixedLengthStream(size)
  const copy = new FixedLengthStream(size)
  waitUntil(keep(url, new Response(copy.readable, whole)))
  waitUntil(pump(whole.body, client.writable, copy.writable))
  if (range === null) return new Response(client.readable, whole)
  const headers = new Headers(whole.headers)
  headers.set('Content-Range', `bytes 0-${size - 1}/${size}`)
  return new Response(client.readable, { status: 206, headers })
}

/** Whether the copy was kept whole. The local Cache API keeps a body that was cut short, so that goes again. */
async function keep(url: string, response: Response): Promise<boolean> {
  try {
    await caches.default.put(url, response)
    return true
  } catch {
    await dropCopy(url)
    return false
  }
}

const exactly = (body: ReadableStream, size: number): ReadableStream =>
  body.pipeThrough(new FixedLengthStream(size))

/** Copies `source` to both sinks at the pace of the slower. A sink that fails is left behind; a source that fails fails both. */
async function pump(
  source: ReadableStream<Uint8Array>,
  ...sinks: readonly WritableStream<Uint8Array>[]
): Promise<void> {
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
      if (open.length === 0) break
    }
    await toAll((writer) => writer.close())
  } catch (error) {
    await toAll((writer) => writer.abort(error))
  }
}
