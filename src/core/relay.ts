import { ApiError } from '../errors/api-error.ts'
import { within } from '../errors/deadline.ts'
import { describe } from '../errors/describe.ts'
import { logWarning } from '../errors/warnings.ts'
import { ON_WORKERS } from '../http/runtime.ts'

/** A bucket that sends fewer bytes in this time is given up. Only time spent waiting counts. */
const SLOW_BYTES = 16 * 1024
const SLOW_MILLISECONDS = 20_000
const CHUNK_BYTES = 256 * 1024
/** How far a copy may lag behind before it slows the client. */
const MAX_LAG_BYTES = 1024 ** 2

type Writer = WritableStreamDefaultWriter<Uint8Array>

/** The destinations of an object's bytes. */
export interface Sinks {
  readonly client?: WritableStream<Uint8Array>
  readonly copy?: WritableStream<Uint8Array>
}

/**
 * Copies `source` to its sinks at the speed of the client. Resolves with whether the copy is
 * complete. Abandons a copy that fails or stalls. Continues the copy if the client disconnects.
 * Cancels the source when no sink is left. Throws `storage_error` and fails the sinks if the source
 * breaks off, stalls, or doesn't have `length` bytes, unless that is null.
 */
export async function relayBody(
  source: ReadableStream<Uint8Array>,
  sinks: Sinks,
  length: string | null = null,
): Promise<boolean> {
  const reader = readerOf(source)
  let left = Number(length ?? Number.NaN)
  let client = sinks.client?.getWriter()
  let copy = sinks.copy?.getWriter()
  let lagBytes = 0
  let atLeast = 1
  let view = new Uint8Array(CHUNK_BYTES)
  let waited = 0
  let received = 0

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
      // A client may be slow: the time to write to it doesn't count.
      const asked = Date.now()
      const reading = reader.read(atLeast, view)
      const { done, value } = await within(SLOW_MILLISECONDS - waited, reading)
      left -= value?.byteLength ?? 0
      if (left < 0 || (done && left > 0)) throw new Error('The length is wrong.')
      if (done) break
      const milliseconds = Date.now() - asked
      if (reader.waits) atLeast = nextBytes(value.byteLength, milliseconds)
      waited += milliseconds
      received += value.byteLength
      if (received >= SLOW_BYTES) waited = received = 0
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
    const error = endedEarly(cause)
    for (const end of [reader.cancel(cause), client?.abort(error), copy?.abort(error)]) ignore(end)
    throw error
  }
  await Promise.all([
    toClient((writer) => writer.close()),
    toCopy((writer) => withinCacheTime(writer.close())),
  ])
  return copy !== undefined
}

/** Returns the error for an object whose bytes did not all arrive. */
export const endedEarly = (cause: unknown): ApiError =>
  new ApiError('storage_error', "The bucket's response ended early.", { cause })

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
 * second, and at most twice as many. Each read costs CPU, independent of its size. The progress of a
 * large read is not visible, so a bucket that suddenly is 200 times slower is given up too.
 */
function nextBytes(bytes: number, milliseconds: number): number {
  const next = Math.ceil(bytes * Math.min(2, 100 / milliseconds))
  return next < SLOW_BYTES ? 1 : Math.min(next, CHUNK_BYTES)
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
 * the transfer. Cancels the request to the bucket if the client disconnects. Logs a transfer that
 * the bucket cuts with `about`, or nothing if that is null.
 */
export function relay(opened: Response, about: object | null): [Response, Promise<unknown>] {
  if (opened.body === null) return [opened, Promise.resolve()]
  const length = opened.headers.get('content-length')
  const { readable, writable } = pipeOf(length)
  const done = relayBody(opened.body, { client: writable }, length).catch((error: unknown) => {
    if (about !== null) logCut(about, error)
  })
  return [new Response(readable, opened), done]
}

/** Logs that the bucket cut a delivery whose response had begun. */
export const logCut = (about: object, error: unknown): void =>
  logWarning('delivery cut', { ...about, reason: describe(error) })

/** How long one step of the Cache API may take, since a link also works without the cache. */
const CACHE_MILLISECONDS = 2000

/** Resolves with the result of one step of the Cache API, if that is in time. */
export const withinCacheTime = <T>(work: Promise<T>): Promise<T> => within(CACHE_MILLISECONDS, work)
