import { ApiError } from '../errors/api-error.ts'
import { within, withinCacheTime } from './within.ts'

/** Seconds within which the bucket must send the next bytes of an object. */
const IDLE_SECONDS = 30
const CHUNK_BYTES = 64 * 1024
/** How far a copy may lag behind without slowing the client. */
const MAX_LAG_BYTES = 1024 ** 2

type Writer = WritableStreamDefaultWriter<Uint8Array>

/** Where the bytes of an object go. */
export interface Sinks {
  readonly client?: WritableStream<Uint8Array>
  readonly copy?: WritableStream<Uint8Array>
}

/**
 * Copies `source` to its sinks at the pace of the client, and says whether the copy has all of it.
 * A copy that fails or stalls is given up; a client that goes away does not end the copy; with both
 * gone the source is cancelled. Throws `storage_error` where the source breaks off or stalls, which
 * fails the sinks.
 */
export async function pump(source: ReadableStream<Uint8Array>, sinks: Sinks): Promise<boolean> {
  const reader = source.getReader({ mode: 'byob' })
  let client = sinks.client?.getWriter()
  let copy = sinks.copy?.getWriter()
  let lagBytes = 0

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
      // Timed only while the bucket is waited for: a client may be as slow as it likes.
      const read = reader.read(new Uint8Array(CHUNK_BYTES))
      const { done, value } = await within(IDLE_SECONDS * 1000, read)
      if (done) break
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
    }
  } catch (cause) {
    for (const end of [reader.cancel(cause), client?.abort(cause), copy?.abort(cause)]) ignore(end)
    throw new ApiError('storage_error', 'The bucket broke off its answer.', { cause })
  }
  await Promise.all([
    toClient((writer) => writer.close()),
    toCopy((writer) => withinCacheTime(writer.close())),
  ])
  return copy !== undefined
}

/** Leaves a rejection of `work` unreported. */
const ignore = (work: Promise<void> | undefined): void => {
  work?.catch(() => undefined)
}

/** A writable and a readable side, of `length` bytes where that is known. */
export const pipeOf = (length: string | null): IdentityTransformStream =>
  length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length))
