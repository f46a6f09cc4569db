import { pipeOf, relayBody } from '../../../core/relay.ts'
import { ApiError, asApiError } from '../../../errors/api-error.ts'
import { inTime } from '../../../errors/deadline.ts'
import { type ImageInfo, imageInfo, infoInStart } from './image-info.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** Maximum size of an image to resize. */
export const MAX_IMAGE_BYTES = 20 * 1024 ** 2
/** Maximum number of its pixels, those of all frames of an animation together. */
const MAX_PIXELS = 50_000_000
/** Bytes of an original that are read before it is clear whether the rest may pass through. */
const START_BYTES = 256 * 1024
/** Bytes in memory of an original that passes through: its start, and those on their way. */
export const PASSING_BYTES = 2 * START_BYTES
/** Bytes of an image that a stream of it has in memory at a time. */
const PIECE_BYTES = 64 * 1024

/** An original image whose size is known. */
export interface Original {
  readonly info: ImageInfo
  /** The headers of the response that it came in. */
  readonly headers: Headers
  readonly size: number
  /** All of it, or its start if it passes through. */
  readonly bytes: Bytes
  readonly isWhole: boolean
  /** Returns it as a stream. Once, unless it is whole. */
  send(): ReadableStream<Uint8Array>
  /** Returns the bucket's error, if the rest did not come. */
  failure(): ApiError | null
  /** Ends the request for the rest. */
  close(): void
}

/**
 * Reads an original: to where a PNG or a JPEG says how large it is, and everything else whole. Returns
 * its size if it would hold more than `held` bytes. Throws `unsupported_image` for anything but an image
 * that can be resized, `storage_error`, and `unavailable` at the deadline of `now`.
 */
export async function readOriginal(
  { body, headers }: Response,
  held: number,
  now: Date,
): Promise<Original | number> {
  const stated = headers.get('content-length')
  const size = stated === null ? MAX_IMAGE_BYTES : Number(stated)
  const isEncoded = headers.has('content-encoding')
  if (body === null || isEncoded || size > MAX_IMAGE_BYTES) {
    await body?.cancel()
    if (size > MAX_IMAGE_BYTES) throw tooLarge()
    throw unsupported(`This image ${body === null ? 'is empty' : 'has a Content-Encoding'}.`)
  }
  const { started, rest, close } = split(body, stated, Math.min(size, START_BYTES))
  let failed: unknown = null
  const original = (bytes: Bytes, info: ImageInfo | null, length = bytes.byteLength): Original => ({
    info: checked(info),
    headers,
    bytes,
    size: length,
    isWhole: length === bytes.byteLength,
    send() {
      if (length === bytes.byteLength) return inPieces(bytes)
      const { readable, writable } = pipeOf(String(length))
      const writer = writable.getWriter()
      const work = async () => {
        await writer.write(bytes)
        await rest((chunk) => writer.write(chunk))
        await writer.close()
      }
      work().catch((error: unknown) => {
        failed = error
        writer.abort(error).catch(() => undefined)
      })
      return readable
    },
    failure: () => asApiError(failed),
    close,
  })
  try {
    const start = await inTime(Infinity, now, () => started)
    if (start.byteLength < START_BYTES || size === START_BYTES)
      return original(start, imageInfo(start))
    const info = stated === null ? null : infoInStart(start)
    if (info !== null) return original(start, info, size)
    if (size > held) {
      close()
      return size
    }
    const whole = new Uint8Array(size)
    whole.set(start)
    let at = start.byteLength
    const take = (chunk: Uint8Array) => {
      at += chunk.byteLength
      if (at <= size) whole.set(chunk, at - chunk.byteLength)
      else close()
    }
    await inTime(Infinity, now, () => rest(take))
    if (at > size) throw tooLarge()
    const bytes = new Uint8Array(whole.buffer.transfer(at))
    return original(bytes, imageInfo(bytes))
  } catch (error) {
    close()
    throw error
  }
}

function checked(info: ImageInfo | null): ImageInfo {
  if (info === null) throw unsupported('This is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image.')
  if (info.width * info.height * info.frames > MAX_PIXELS)
    throw unsupported(`This image has more than ${MAX_PIXELS / 1_000_000} megapixels.`)
  return info
}

/** Reads the first bytes of a body, and then only what somebody takes of the rest. */
function split(body: ReadableStream<Uint8Array>, length: string | null, startBytes: number) {
  const start = new Uint8Array(startBytes)
  let filled = 0
  let isClosed = false
  const started = Promise.withResolvers<Bytes>()
  const taker = Promise.withResolvers<(chunk: Uint8Array) => unknown>()
  const sink = new WritableStream<Uint8Array>({
    async write(chunk) {
      if (isClosed) throw new Error('Nobody needs the rest.')
      const count = Math.min(chunk.byteLength, startBytes - filled)
      start.set(chunk.subarray(0, count), filled)
      filled += count
      if (filled === startBytes) started.resolve(start)
      if (count < chunk.byteLength) await (await taker.promise)(chunk.subarray(count))
    },
    close: () => started.resolve(start.subarray(0, filled)),
  })
  const ended = relayBody(body, { client: sink }, length)
  ended.catch(started.reject)
  return {
    started: started.promise,
    /** Gives the rest to `take`. Throws the bucket's error. */
    rest(take: (chunk: Uint8Array) => unknown): Promise<unknown> {
      taker.resolve(take)
      return ended
    },
    close() {
      isClosed = true
      taker.resolve(() => Promise.reject(new Error('Nobody needs the rest.')))
    },
  }
}

/** Many responses share `bytes`: on Workers, each body made of them would have its own copy. */
export function inPieces(bytes: Uint8Array): ReadableStream<Uint8Array> {
  const { readable, writable } = pipeOf(String(bytes.byteLength))
  const writer = writable.getWriter()
  const send = async () => {
    for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES)
      await writer.write(bytes.subarray(at, at + PIECE_BYTES))
    await writer.close()
  }
  send().catch(() => undefined) // The client has left.
  return readable
}

export const unsupported = (message: string, cause?: unknown): ApiError =>
  new ApiError('unsupported_image', message, { cause })

export const tooLarge = (maxBytes = MAX_IMAGE_BYTES): ApiError =>
  unsupported(`This image has more than ${maxBytes / 1024 ** 2} MiB.`)
