import { ApiError } from '../errors/api-error.ts'
import { within, withinCacheTime } from './within.ts'

/** Maximum seconds until the bucket sends the next bytes of an object. */
const IDLE_SECONDS = 30
/** The same for a large read, whose progress is not visible. */
const LARGE_IDLE_SECONDS = 120
const MIN_LARGE_BYTES = 16 * 1024
const CHUNK_BYTES = 256 * 1024
/** How far a copy may lag behind before it slows the client. */
const MAX_LAG_BYTES = 1024 ** 2

/** Whether this is Cloudflare's runtime, which has special streams and headers. */
export const ON_WORKERS = typeof IdentityTransformStream !== 'undefined'

type Writer = WritableStreamDefaultWriter<Uint8Array>

/** The destinations of an object's bytes. */
export interface Sinks {
  readonly client?: WritableStream<Uint8Array>
  readonly copy?: WritableStream<Uint8Array>
}

/**
 * Copies `source` to its sinks at the speed of the client. Resolves with whether the copy is
 * complete. Abandons a copy that fails or stalls. Continues the copy if the client disconnects.
 * Cancels the source without both. Throws `storage_error` and fails the sinks if the source breaks
 * off or stalls.
 */
export async function pump(source: ReadableStream<Uint8Array>, sinks: Sinks): Promise<boolean> {
  const reader = readerOf(source)
  let client = sinks.client?.getWriter()
  let copy = sinks.copy?.getWriter()
  let lagBytes = 0
  let atLeast = 1
  let view = new Uint8Array(CHUNK_BYTES)

  const toClient = async (act: (writer: Writer) => Promise<void>) => {
    try {
      if (client !== undefined) await act(client)
    } catch {
      client = undefined
    }
  }
  const toCopy = async (act: (writer: Writer) => Promise<void>) => {
    try {
      if (copy !== undefined) await act(copy)
    } catch (error) {
      ignore(copy?.abort(error))
      copy = undefined
    }
  }

  try {
    for (;;) {
      // The timeout applies only to the bucket. A client may be slow.
      const asked = Date.now()
      const seconds = atLeast === 1 ? IDLE_SECONDS : LARGE_IDLE_SECONDS
      const { done, value } = await within(seconds * 1000, reader.read(atLeast, view))
      if (done) break
      if (reader.waits) atLeast = nextBytes(value.byteLength, Date.now() - asked)
      await toCopy(async (writer) => {
        const { byteLength } = value
        lagBytes += byteLength
        const written = writer.write(value).then(() => {
          lagBytes -= byteLength
        })
        ignore(written)
        if (lagBytes > MAX_LAG_BYTES) await withinCacheTime(written)
      })
      await toClient((writer) => writer.write(value))
      if (client === undefined && copy === undefined) {
        ignore(reader.cancel())
        return false
      }
      // The client has received these bytes. A copy may still need them.
      const { buffer } = value
      const isFree = sinks.copy === undefined && buffer instanceof ArrayBuffer
      view = isFree ? new Uint8Array(buffer) : new Uint8Array(CHUNK_BYTES)
    }
  } catch (cause) {
    for (const end of [reader.cancel(cause), client?.abort(cause), copy?.abort(cause)]) ignore(end)
    throw new ApiError('storage_error', "The bucket's response ended early.", { cause })
  }
  await Promise.all([
    toClient((writer) => writer.close()),
    toCopy((writer) => withinCacheTime(writer.close())),
  ])
  return copy !== undefined
}

/** Reads a stream in chunks of a chosen size, if the runtime supports it. */
export interface ByteReader {
  /** Whether `read` waits for `atLeast` bytes. Otherwise, it returns the next chunk. */
  readonly waits: boolean
  /** Reads at least `atLeast` bytes into the view. */
  read(atLeast: number, view: Uint8Array): Promise<ReadableStreamReadResult<Uint8Array>>
  cancel(reason?: unknown): Promise<void>
}

export function readerOf(source: ReadableStream<Uint8Array>): ByteReader {
  if (
    typeof ReadableStreamBYOBReader !== 'undefined' &&
    'readAtLeast' in ReadableStreamBYOBReader.prototype
  ) {
    const reader = source.getReader({ mode: 'byob' })
    return {
      waits: true,
      read: (atLeast, view) => reader.readAtLeast(atLeast, view),
      cancel: (reason) => reader.cancel(reason),
    }
  }
  const reader = source.getReader()
  return { waits: false, read: () => reader.read(), cancel: (reason) => reader.cancel(reason) }
}

/**
 * Returns how many bytes to wait for after a read of `bytes`: the expected bytes of a tenth of a
 * second, and at most twice as many. Each read costs CPU, independent of its size.
 */
function nextBytes(bytes: number, milliseconds: number): number {
  const next = Math.ceil(bytes * Math.min(2, 100 / milliseconds))
  return next < MIN_LARGE_BYTES ? 1 : Math.min(next, CHUNK_BYTES)
}

/** Ignores a rejection of `work`. */
const ignore = (work: Promise<void> | undefined): void => {
  work?.catch(() => undefined)
}

/** Returns a pipe. On Workers, its stream states a known `length`. */
export function pipeOf(length: string | null): TransformStream<Uint8Array, Uint8Array> {
  if (!ON_WORKERS) return new TransformStream()
  return length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
}

/**
 * Returns `opened` with a body that fails if the bucket stalls, and a promise that resolves after
 * the transfer. Cancels the request to the bucket if the client disconnects.
 */
export function relay(opened: Response): [Response, Promise<unknown>] {
  if (opened.body === null) return [opened, Promise.resolve()]
  const { readable, writable } = pipeOf(opened.headers.get('content-length'))
  const done = pump(opened.body, { client: writable }).catch(() => undefined)
  return [new Response(readable, opened), done]
}
