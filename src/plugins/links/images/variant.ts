import type { Variant } from '../../../access/link-signature.ts'
import {
  type ImageSize,
  sizeOf,
  type VariantFormat,
  type VariantSpec,
} from '../../../bucket/image-size.ts'
import { endedEarly, pipeOf } from '../../../core/pump.ts'
import { ApiError, asApiError } from '../../../errors/api-error.ts'
import { inTime } from '../../../errors/deadline.ts'
import { describe } from '../../../errors/describe.ts'
import { sha256 } from '../../../keys/encodings.ts'
import { rangeOf } from '../byte-range.ts'
import { weightsIn } from '../field-syntax.ts'
import { isImageError } from '../objects-protocol.ts'
import { type ImageInfo, type ImageType, imageInfo } from './image-info.ts'
import { withoutMetadata } from './image-metadata.ts'

/** Maximum size of an image to resize. */
const MAX_IMAGE_BYTES = 20 * 1024 ** 2
/** Maximum number of its pixels, those of all frames of an animation together. */
const MAX_PIXELS = 50_000_000
/** Cloudflare makes no AVIF with a longer side. */
const MAX_AVIF_SIDE = 1200
/** Maximum number of calls for an image, since each is billed. */
const MAX_CALLS = 2
/** How long a call may take. */
export const RESIZE_MILLISECONDS = 10_000
/** Bounds of the maximum size of a resized image. */
const MIN_OUTPUT_BYTES = 2 * 1024 ** 2
const MAX_OUTPUT_BYTES = 10 * 1024 ** 2

type OutputType = 'image/avif' | 'image/webp' | 'image/jpeg' | 'image/png'

/** Resizes images: Cloudflare's Images binding, or an equivalent. */
export interface ImageResizer {
  input(image: ReadableStream<Uint8Array>): {
    transform(options: { width: number; height?: number; fit: ImageSize['fit'] }): {
      output(options: {
        format: OutputType
        quality: number
        anim: false
      }): Promise<{ response(): Response }>
    }
  }
}

/** Returns how to make a link's variant. A size that is no longer configured keeps its width. */
export function variantSpec(
  { width, format }: Variant,
  sizes: readonly ImageSize[],
  quality: number,
  accept: string | null,
): VariantSpec {
  return {
    ...(sizes.find((one) => one.width === width) ?? sizeOf(width)),
    format: format === 'auto' ? acceptedFormat(width, accept ?? '') : format,
    quality,
  }
}

/** AVIF is only for clients that accept WebP too, which may be in its place. */
function acceptedFormat(width: number, accept: string): VariantFormat {
  if (!accepts(accept, 'image/webp')) return 'compatible'
  return width <= MAX_AVIF_SIDE && accepts(accept, 'image/avif') ? 'auto-avif' : 'auto-webp'
}

/** Tells whether an `Accept` header names `type`, with another weight than zero. */
const accepts = (accept: string, type: string): boolean => Number(weightsIn(accept).get(type)) > 0

/** A complete resized image, which several requests can share. */
export interface KeptImage {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly headers: [name: string, value: string][]
}

/** Bytes of an image that a response has in memory at a time. */
const PIECE_BYTES = 64 * 1024

/** Returns the response with a resized image, or with one range of it. */
export function imageResponse({ bytes, headers }: KeptImage, range: string | null): Response {
  const size = bytes.byteLength
  const part = range === null ? null : rangeOf(range, size)
  if (part === null) return new Response(inPieces(bytes), { headers })
  if (part.first > part.last)
    return new Response(null, {
      status: 416,
      headers: { 'Cache-Control': 'no-store', 'Content-Range': `bytes */${size}` },
    })
  const body = bytes.subarray(part.first, part.last + 1)
  const response = new Response(inPieces(body), { status: 206, headers })
  response.headers.set('Content-Length', String(body.byteLength))
  response.headers.set('Content-Range', `bytes ${part.first}-${part.last}/${size}`)
  return response
}

/** Many responses share `bytes`: on Workers, each body made of them would have its own copy. */
export function inPieces(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
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

/** How to resize an image. */
export interface ResizeOptions {
  /** The time of the request, with its deadline. Without it, there is none. */
  readonly now?: Date
  /** Gets the complete original, to keep a copy of it. */
  onRead?(original: Uint8Array<ArrayBuffer>): void
  /** Gets the work that holds the bytes, which may take longer than the result. */
  during?(work: Promise<unknown>): void
}

/**
 * Resizes the image in `original`, the response of `openObject`. Keeps its date. The entity tag is
 * the digest of the bytes. Throws `unsupported_image` for anything but an image that can be resized,
 * `unavailable` if it can't be resized now, or has not been read at the
 * deadline. Holds at most `heldBytes`.
 */
export async function resize(
  original: Response,
  spec: VariantSpec,
  resizer: ImageResizer,
  { now = new Date(), onRead, during }: ResizeOptions = {},
): Promise<KeptImage> {
  const image = await readImage(original, now)
  onRead?.(image)
  const info = imageInfo(image)
  if (info === null) throw unsupported('This is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image.')
  if (info.width * info.height * info.frames > MAX_PIXELS)
    throw unsupported(`This image has more than ${MAX_PIXELS / 1_000_000} megapixels.`)

  const made = () => {
    const work = make(image, info, spec, resizer, now)
    during?.(work)
    return work
  }
  const [type, bytes] = await inTime(RESIZE_MILLISECONDS, now, made).catch((error: unknown) => {
    throw isImageError(error) ? error : resizeError(error)
  })
  const digest = (await sha256(bytes)).slice(0, 32)
  const date = original.headers.get('last-modified')
  const headers = new Headers({
    ...(date === null ? {} : { 'Last-Modified': date }),
    ...{ 'Accept-Ranges': 'bytes', 'Content-Length': String(bytes.byteLength) },
    ...{ 'Content-Type': type, ETag: `"${digest}"` },
  })
  return { bytes, headers: [...headers] }
}

/**
 * Calls the resizer until it returns a type that the variant may have, and checks what it returns: it
 * may decline a type, keep metadata, or return the original if it isn't enabled.
 */
async function make(
  image: Uint8Array<ArrayBuffer>,
  info: ImageInfo,
  spec: VariantSpec,
  resizer: ImageResizer,
  now: Date,
): Promise<[ImageType, Uint8Array<ArrayBuffer>]> {
  const { width, height, fit, quality } = spec
  const size = { width, fit, ...(height === null ? {} : { height }) }
  const types = outputTypes(spec, info)
  const end = Date.now() + RESIZE_MILLISECONDS
  for (const format of types.slice(0, MAX_CALLS)) {
    // Nobody waits for a second call after the first one took too long.
    if (Date.now() >= end) break
    const result = await resizer
      .input(inPieces(image))
      .transform(size)
      .output({ format, quality, anim: false })
    const bytes = await readBytes(result.response(), outputBytes(spec), now)
    const output = imageInfo(bytes)
    if (output === null) throw unavailable('the Images binding returned no image')
    if (output.width > width || output.height > (height ?? Infinity))
      throw unavailable('the Images binding returned another size')
    if (output.frames > 1) throw unavailable('the Images binding returned an animation')
    if (isEqual(bytes, image)) throw unavailable('the Images binding returned the original')
    if (types.some((type) => type === output.type)) {
      const clean = withoutMetadata(bytes, output.type)
      if (clean === null) throw unavailable('the Images binding returned a broken image')
      return [output.type, clean]
    }
    if (spec.format === 'avif' && Math.max(output.width, output.height) > MAX_AVIF_SIDE)
      throw unsupported(`AVIF images have at most ${MAX_AVIF_SIDE} pixels on their longest side.`)
  }
  throw unavailable('the Images binding returned another type')
}

/** Returns the types that a variant may have, in the order in which they are asked for. */
function outputTypes(spec: VariantSpec, info: ImageInfo): OutputType[] {
  // JPEG can't be transparent.
  const compatible = /png|gif|webp/.test(info.type) ? 'image/png' : 'image/jpeg'
  switch (spec.format) {
    case 'auto-avif':
      if (longestSide(spec, info) <= MAX_AVIF_SIDE) return ['image/avif', 'image/webp', compatible]
      return ['image/webp', compatible]
    case 'auto-webp':
      return ['image/webp', compatible]
    case 'compatible':
      return [compatible]
    default:
      return [`image/${spec.format}`]
  }
}

/** Returns the longest side of an original in a size. */
function longestSide({ width, height, fit }: ImageSize, original: ImageInfo): number {
  const tall = height ?? Infinity
  if (fit === 'cover' || fit === 'pad') return Math.max(width, tall)
  if (fit === 'crop')
    return Math.max(Math.min(width, original.width), Math.min(tall, original.height))
  const scale = Math.min(width / original.width, tall / original.height)
  return Math.round(
    (fit === 'contain' ? scale : Math.min(scale, 1)) * Math.max(original.width, original.height),
  )
}

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.byteLength === other.byteLength && one.every((byte, i) => byte === other[i])

/** Reads a complete image of at most `MAX_IMAGE_BYTES`. */
async function readImage(original: Response, now: Date): Promise<Uint8Array<ArrayBuffer>> {
  const { body, headers } = original
  if (headers.has('content-encoding') || body === null) {
    await body?.cancel()
    throw unsupported(`This image ${body === null ? 'is empty' : 'has a Content-Encoding'}.`)
  }
  try {
    return await readBytes(original, MAX_IMAGE_BYTES, now)
  } catch (cause) {
    // On Workers, an error has lost its class when it comes out of a stream.
    throw asApiError(cause) ?? endedEarly(cause)
  }
}

/**
 * Reads a body into one piece of memory, of its length or else of `maxBytes`. Throws
 * `unsupported_image` if it is longer than `maxBytes`, and `unavailable` at the deadline of `now`.
 */
async function readBytes(
  { body, headers }: Response,
  maxBytes: number,
  now: Date,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array()
  const reader = body.getReader()
  const tooLarge = () => unsupported(`This image has more than ${maxBytes / 1024 ** 2} MiB.`)
  const length = Number(headers.get('content-length') ?? maxBytes)
  try {
    if (length > maxBytes) throw tooLarge()
    const bytes = new Uint8Array(length)
    let size = 0
    for (;;) {
      const { done, value } = await inTime(Infinity, now, () => reader.read())
      if (done) return new Uint8Array(bytes.buffer.transfer(size))
      if (size + value.byteLength > maxBytes) throw tooLarge()
      bytes.set(value, size)
      size += value.byteLength
    }
  } catch (error) {
    reader.cancel(error).catch(() => undefined)
    throw error
  }
}

/** Returns how many bytes `resize` may hold: the original, and the result with a copy of it. */
export const heldBytes = ({ headers }: Response, spec: VariantSpec): number =>
  Math.min(Number(headers.get('content-length')) || MAX_IMAGE_BYTES, MAX_IMAGE_BYTES) +
  2 * outputBytes(spec)

/** Returns the most bytes: one per pixel, four in a PNG. The default height is twice the width. */
function outputBytes({ width, height, format }: VariantSpec): number {
  const perPixel = format === 'png' || format === 'compatible' ? 4 : 1
  const bytes = width * (height ?? 2 * width) * perPixel
  return Math.min(Math.max(bytes, MIN_OUTPUT_BYTES), MAX_OUTPUT_BYTES)
}

/** Cloudflare's codes for no image, too many pixels, and an unsupported type (Images, Errors). */
const UNREADABLE = [9412, 9413, 9420, 9520]
/** Codes for an image that is too large or broken, and for failures of Cloudflare itself. */
const UNSURE = [9402, 9416, 9516, 9523]

const codeOf = (error: unknown): number =>
  Number(typeof error === 'object' && error !== null && Reflect.get(error, 'code'))

function resizeError(error: unknown): ApiError {
  // The binding's text for a response without a code, which becomes 9523. A 500 may mean the image.
  const isDown = /Unexpected error response (?:429|50[^0])/.test(describe(error))
  return !isDown && [...UNREADABLE, ...UNSURE].includes(codeOf(error))
    ? unsupported('This image could not be read.', error)
    : unavailable(error)
}

/** Tells whether Cloudflare may be able to read the image of this error later. */
export const isUnsure = (error: unknown): boolean =>
  UNSURE.includes(codeOf(asApiError(error)?.cause))

const unsupported = (message: string, cause?: unknown): ApiError =>
  new ApiError('unsupported_image', message, { cause })

/** Seconds until a retry of what Cloudflare can't do now, and of what has no room in this isolate. */
const RETRY_SECONDS = 60
const ROOM_SECONDS = 5

const unavailable = (cause: unknown): ApiError =>
  new ApiError('unavailable', "The image can't be resized at the moment. Try again later.", {
    reason: 'images',
    cause,
    retryAfterSeconds: RETRY_SECONDS,
  })

const NO_ROOM = 'no room'

/** Returns the error for an image that would need more memory than there is now. */
export const crowded = (): ApiError =>
  new ApiError('unavailable', 'Too many images are being resized. Try again later.', {
    reason: 'images',
    cause: NO_ROOM,
    retryAfterSeconds: ROOM_SECONDS,
  })

/** Tells whether `crowded` made this error. */
export const isCrowded = (error: unknown): boolean => asApiError(error)?.cause === NO_ROOM
