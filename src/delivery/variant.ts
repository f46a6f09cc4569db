import type { Variant } from '../access/link-signature.ts'
import { FITS, type ImageSize, sizeOf } from '../bucket/image-size.ts'
import { ApiError, asApiError } from '../errors/api-error.ts'
import { within } from '../errors/deadline.ts'
import { hex } from '../keys/encodings.ts'
import { rangeOf } from './byte-range.ts'
import { type ImageInfo, type ImageType, imageInfo } from './image-info.ts'
import { withoutMetadata } from './image-metadata.ts'
import { endedEarly } from './pump.ts'

/** Maximum size of an image to resize. */
const MAX_IMAGE_BYTES = 20 * 1024 ** 2
/** Maximum number of its pixels, those of all frames of an animation together. */
const MAX_PIXELS = 50_000_000
/** Cloudflare makes no AVIF with a longer side. */
const MAX_AVIF_SIDE = 1200
/** Maximum number of calls for an image, since each is billed. */
const MAX_CALLS = 2
const RESIZE_MILLISECONDS = 10_000

/**
 * The format of a variant. The last three are for `auto`: `compatible` is PNG or JPEG, as the original
 * needs it, for clients that accept nothing else. Cloudflare may decline a format, so the copies of
 * `auto-webp` may also have that type, and those of `auto-avif` may be WebP as well.
 */
export const VARIANT_FORMATS = [
  'avif',
  'webp',
  'jpeg',
  'png',
  'auto-avif',
  'auto-webp',
  'compatible',
] as const

export type VariantFormat = (typeof VARIANT_FORMATS)[number]

/** Everything that determines the bytes of a variant, together with the object. */
export interface VariantSpec extends ImageSize {
  readonly format: VariantFormat
  /** 1 to 100. */
  readonly quality: number
}

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

/**
 * Returns how to make the variant of a link for a client that accepts the types in `accept`. A size
 * that is no longer configured keeps its width.
 */
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

/** Returns a text that is the same for the same variant, for the name of its copies. */
export const specQuery = ({ width, height, fit, format, quality }: VariantSpec): string =>
  `w=${width}&h=${height ?? ''}&fit=${fit}&fmt=${format}&q=${quality}`

/** Returns the variant of a query from `specQuery`, or null for the original. */
export function specIn(query: URLSearchParams): VariantSpec | null {
  const format = VARIANT_FORMATS.find((name) => name === query.get('fmt'))
  const fit = FITS.find((name) => name === query.get('fit'))
  if (format === undefined || fit === undefined) return null
  const height = query.get('h') || null
  return {
    width: Number(query.get('w')),
    height: height === null ? null : Number(height),
    fit,
    format,
    quality: Number(query.get('q')),
  }
}

/** AVIF is only for clients that accept WebP too, which may be in its place. */
function acceptedFormat(width: number, accept: string): VariantFormat {
  if (!accepts(accept, 'image/webp')) return 'compatible'
  return width <= MAX_AVIF_SIDE && accepts(accept, 'image/avif') ? 'auto-avif' : 'auto-webp'
}

/** Tells whether an `Accept` header names `type`, with another weight than zero. */
const accepts = (accept: string, type: string): boolean =>
  accept.split(',').some((item) => {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    return name === type && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })

/** A complete resized image, which several requests can share. */
export interface KeptImage {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly headers: readonly (readonly [string, string])[]
}

/** Returns the response with a resized image, or with one range of it. */
export function imageResponse({ bytes, headers }: KeptImage, range: string | null): Response {
  const size = bytes.byteLength
  const part = range === null ? null : rangeOf(range, size)
  if (part === null) return new Response(bytes, { headers: headersOf(headers) })
  if (part.first > part.last)
    return new Response(null, {
      status: 416,
      headers: { 'Cache-Control': 'no-store', 'Content-Range': `bytes */${size}` },
    })
  const response = new Response(bytes.subarray(part.first, part.last + 1), {
    status: 206,
    headers: headersOf(headers),
  })
  response.headers.set('Content-Length', String(part.last - part.first + 1))
  response.headers.set('Content-Range', `bytes ${part.first}-${part.last}/${size}`)
  return response
}

const headersOf = (headers: KeptImage['headers']): Headers =>
  new Headers(headers.map(([name, value]): [string, string] => [name, value]))

/**
 * Resizes the image in `original`, the response of `openObject`. Keeps its date and the lifetime and
 * tag of its copies. The entity tag is the digest of the bytes. Throws `unsupported_image` for
 * anything but an image that can be resized, and `image_unavailable` if it can't be resized now.
 */
export async function resize(
  original: Response,
  spec: VariantSpec,
  resizer: ImageResizer | null,
): Promise<KeptImage> {
  const kept = ['last-modified', 'cache-control', 'cache-tag'].flatMap((name) => {
    const value = original.headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  const image = await readImage(original)
  const info = imageInfo(image)
  if (info === null) throw unsupported('This is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image.')
  if (info.width * info.height * info.frames > MAX_PIXELS)
    throw unsupported(`This image has more than ${MAX_PIXELS / 1_000_000} megapixels.`)
  if (resizer === null) throw unavailable('no Images binding')

  const [type, bytes] = await within(RESIZE_MILLISECONDS, make(image, info, spec, resizer)).catch(
    (error: unknown) => {
      throw isImageError(error) ? error : resizeError(error)
    },
  )
  const digest = hex(await crypto.subtle.digest('SHA-256', bytes)).slice(0, 32)
  const headers = [
    ...kept,
    ['accept-ranges', 'bytes'] as const,
    ['content-length', String(bytes.byteLength)] as const,
    ['content-type', type] as const,
    ['etag', `"${digest}"`] as const,
  ]
  return { bytes, headers }
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
): Promise<[ImageType, Uint8Array<ArrayBuffer>]> {
  const { width, height, fit, quality } = spec
  const size = { width, fit, ...(height === null ? {} : { height }) }
  const types = outputTypes(spec, info)
  const end = Date.now() + RESIZE_MILLISECONDS
  for (const format of types.slice(0, MAX_CALLS)) {
    // Nobody waits for a second call after the first one took too long.
    if (Date.now() >= end) break
    const source = new Response(image).body ?? new ReadableStream<Uint8Array>()
    const result = await resizer
      .input(source)
      .transform(size)
      .output({ format, quality, anim: false })
    const bytes = new Uint8Array(await result.response().arrayBuffer())
    const output = imageInfo(bytes)
    if (output === null) throw unavailable('the Images binding returned no image')
    if (output.width > width || output.height > (height ?? Infinity))
      throw unavailable('the Images binding returned another size')
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
function longestSide(
  { width, height, fit }: ImageSize,
  original: Pick<ImageInfo, 'width' | 'height'>,
): number {
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
async function readImage(original: Response): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => unsupported(`This image has more than ${MAX_IMAGE_BYTES / 1024 ** 2} MiB.`)
  const { body, headers } = original
  const length = headers.get('content-length')
  const refusal =
    length !== null && Number(length) > MAX_IMAGE_BYTES
      ? tooLarge()
      : headers.has('content-encoding')
        ? unsupported('This image has a Content-Encoding.')
        : null
  if (refusal !== null || body === null) {
    await body?.cancel()
    throw refusal ?? unsupported('This image is empty.')
  }
  // In one piece if the length is known, since a Worker has little memory.
  let bytes = new Uint8Array(Number(length ?? 0))
  let size = 0
  try {
    for await (const chunk of body) {
      const end = size + chunk.byteLength
      // Leaving the loop cancels the stream.
      if (end > MAX_IMAGE_BYTES) throw tooLarge()
      if (end > bytes.byteLength) {
        const longer = new Uint8Array(Math.min(2 * end, MAX_IMAGE_BYTES))
        longer.set(bytes.subarray(0, size))
        bytes = longer
      }
      bytes.set(chunk, size)
      size = end
    }
  } catch (cause) {
    // On Workers, an error has lost its class when it comes out of a stream.
    throw asApiError(cause) ?? endedEarly(cause)
  }
  return bytes.subarray(0, size)
}

/** Returns how many bytes of an original `resize` may hold. */
export const heldBytes = ({ headers }: Response): number =>
  Math.min(Number(headers.get('content-length') ?? MAX_IMAGE_BYTES), MAX_IMAGE_BYTES)

/**
 * Cloudflare's codes for images that it can't read: too large (9402), not an image (9412), too many
 * pixels (9413), an unsupported type (9520), broken (9523).
 */
const UNREADABLE = [9402, 9412, 9413, 9520, 9523]

function resizeError(error: unknown): ApiError {
  const code: unknown = typeof error === 'object' && error !== null && Reflect.get(error, 'code')
  if (UNREADABLE.includes(Number(code))) return unsupported('This image could not be read.', error)
  return unavailable(error)
}

const unsupported = (message: string, cause?: unknown): ApiError =>
  new ApiError('unsupported_image', message, { cause })

const unavailable = (cause: unknown): ApiError =>
  new ApiError('image_unavailable', 'The image can not be resized now. Try again later.', { cause })

/** Tells whether `resize` threw this error, and not the bucket. */
export const isImageError = (error: unknown): boolean =>
  ['unsupported_image', 'image_unavailable'].includes(asApiError(error)?.code ?? '')
