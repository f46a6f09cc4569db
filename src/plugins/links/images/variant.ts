import type { Variant } from '../../../access/link-signature.ts'
import {
  type ImageSize,
  sizeOf,
  type VariantFormat,
  type VariantSpec,
} from '../../../bucket/image-size.ts'
import { ApiError, asApiError } from '../../../errors/api-error.ts'
import { inTime } from '../../../errors/deadline.ts'
import { describe } from '../../../errors/describe.ts'
import { sha256 } from '../../../keys/encodings.ts'
import { weightsIn } from '../field-syntax.ts'
import { isImageError } from '../objects-protocol.ts'
import { type ImageInfo, type ImageType, imageInfo } from './image-info.ts'
import { withoutMetadata } from './image-metadata.ts'
import { RESIZE_MILLISECONDS } from './memory-limit.ts'
import {
  inPieces,
  MAX_IMAGE_BYTES,
  type Original,
  readOriginal,
  tooLarge,
  unsupported,
} from './original.ts'

/** Cloudflare makes no AVIF with a longer side. */
const MAX_AVIF_SIDE = 1200
/** Maximum number of calls for an image, since each may be billed (docs/cost.md). */
const MAX_CALLS = 2
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

/** Returns the response with a resized image. */
export const imageResponse = ({ bytes, headers }: KeptImage): Response =>
  new Response(inPieces(bytes), { headers })

/** How to resize an image. */
export interface ResizeOptions {
  /** The time of the request, with its deadline. Without it, there is none. */
  readonly now?: Date
  /** How many bytes of an original there is room for. */
  readonly held?: number
  /** Gets the work that holds the bytes, which may take longer than the result. */
  during?(work: Promise<unknown>): void
}

/**
 * Resizes the image that `open` opens, again for each call. Keeps its date. The entity tag is the digest
 * of the bytes. Returns the size of the original if there is no room to hold it. Throws
 * `unsupported_image` for anything but an image that can be resized, and `unavailable`.
 */
export async function resize(
  open: () => Promise<Response>,
  spec: VariantSpec,
  resizer: ImageResizer,
  { now = new Date(), held = MAX_IMAGE_BYTES, during }: ResizeOptions = {},
): Promise<KeptImage | number> {
  const end = Date.now() + RESIZE_MILLISECONDS
  let whole: Original | undefined
  for (let call = 0; call < MAX_CALLS; call++) {
    const source = whole ?? (await readOriginal(await open(), held, now))
    if (typeof source === 'number') return source
    if (source.isWhole) whole = source
    const types = outputTypes(spec, source.info)
    const format = types[call]
    if (format === undefined) break
    const work = () => {
      const made = callOnce(source, format, spec, resizer, now)
      during?.(made)
      return made
    }
    // What passes through takes as long as its bucket.
    const limit = source.isWhole ? end - Date.now() : Infinity
    try {
      // Nobody waits for a second call after the first one took too long.
      if (call > 0 && Date.now() >= end) break
      const bytes = await inTime(limit, now, work)
      const type = checkOutput(bytes, source, spec)
      if (!types.some((one) => one === type)) continue
      return await cleanImage(bytes, type, source.headers)
    } catch (error) {
      throw source.failure() ?? (isImageError(error) ? error : resizeError(error))
    } finally {
      source.close()
    }
  }
  throw unavailable('the Images binding returned another type')
}

async function callOnce(
  original: Original,
  format: OutputType,
  spec: VariantSpec,
  resizer: ImageResizer,
  now: Date,
): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, fit, quality } = spec
  const made = await resizer
    .input(original.send())
    .transform({ width, fit, ...(height === null ? {} : { height }) })
    .output({ format, quality, anim: false })
  return readBytes(made.response(), outputBytes(spec), now)
}

/** Returns the type of what the resizer returned. It may decline, or return the original if it isn't enabled. */
function checkOutput(
  bytes: Uint8Array<ArrayBuffer>,
  original: Original,
  { width, height, format }: VariantSpec,
): ImageType {
  const output = imageInfo(bytes)
  if (output === null) throw unavailable('the Images binding returned no image')
  if (output.width > width || output.height > (height ?? Infinity))
    throw unavailable('the Images binding returned another size')
  if (output.frames > 1) throw unavailable('the Images binding returned an animation')
  if (bytes.byteLength === original.size && original.bytes.every((byte, i) => byte === bytes[i]))
    throw unavailable('the Images binding returned the original')
  const isAvif = output.type === 'image/avif'
  if (format === 'avif' && !isAvif && Math.max(output.width, output.height) > MAX_AVIF_SIDE)
    throw unsupported(`AVIF images have at most ${MAX_AVIF_SIDE} pixels on their longest side.`)
  return output.type
}

/** Returns a resized image without metadata, which the resizer may keep. */
async function cleanImage(
  bytes: Uint8Array<ArrayBuffer>,
  type: ImageType,
  original: Headers,
): Promise<KeptImage> {
  const clean = withoutMetadata(bytes, type)
  if (clean === null) throw unavailable('the Images binding returned a broken image')
  const digest = (await sha256(clean)).slice(0, 32)
  const date = original.get('last-modified')
  const headers = new Headers({
    ...(date === null ? {} : { 'Last-Modified': date }),
    'Accept-Ranges': 'bytes',
    'Content-Length': String(clean.byteLength),
    'Content-Type': type,
    ETag: `"${digest}"`,
  })
  return { bytes: clean, headers: [...headers] }
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

/**
 * Reads a body into one piece of memory, of its length or else of `maxBytes`. Throws
 * `unsupported_image` if it is longer than that, and `unavailable` at the deadline of `now`.
 */
async function readBytes(
  { body, headers }: Response,
  maxBytes: number,
  now: Date,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array()
  const reader = body.getReader()
  const length = Number(headers.get('content-length') ?? maxBytes)
  try {
    if (length > maxBytes) throw tooLarge(maxBytes)
    const bytes = new Uint8Array(length)
    let size = 0
    for (;;) {
      const { done, value } = await inTime(Infinity, now, () => reader.read())
      if (done) return new Uint8Array(bytes.buffer.transfer(size))
      if (size + value.byteLength > maxBytes) throw tooLarge(maxBytes)
      bytes.set(value, size)
      size += value.byteLength
    }
  } catch (error) {
    reader.cancel(error).catch(() => undefined)
    throw error
  }
}

/** Returns how many bytes `resize` may need: those of the original, and the result with a copy of it. */
export const bytesFor = (spec: VariantSpec, originalBytes: number): number =>
  originalBytes + 2 * outputBytes(spec)

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

/** Seconds until a retry of what Cloudflare can't do now. */
const RETRY_SECONDS = 60

const unavailable = (cause: unknown): ApiError =>
  new ApiError('unavailable', "The image can't be resized at the moment. Try again later.", {
    reason: 'images',
    cause,
    retryAfterSeconds: RETRY_SECONDS,
  })
