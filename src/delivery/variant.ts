import type { Variant } from '../access/link-signature.ts'
import { FITS, type ImageSize, sizeOf } from '../bucket/image-size.ts'
import { ApiError, asApiError } from '../errors/api-error.ts'
import { within } from '../errors/deadline.ts'
import { hex } from '../keys/encodings.ts'
import { rangeOf } from './byte-range.ts'
import { weightsIn } from './field-syntax.ts'
import { type ImageType, imageInfo } from './image-info.ts'
import { COPY_EXPIRES, copyLifetime } from './open-object.ts'
import { endedEarly } from './pump.ts'

/** Maximum size of an image to resize. */
const MAX_IMAGE_BYTES = 20 * 1024 ** 2
/** Maximum number of its pixels, those of all frames of an animation together. */
const MAX_PIXELS = 50_000_000
/** Cloudflare makes no wider AVIF. */
const MAX_AVIF_WIDTH = 1200
const RESIZE_MILLISECONDS = 10_000

/** The format of a variant. `compatible` is PNG or JPEG, as the original needs it. */
export const VARIANT_FORMATS = ['avif', 'webp', 'jpeg', 'png', 'compatible'] as const

export type VariantFormat = (typeof VARIANT_FORMATS)[number]

/** Everything that determines the bytes of a variant, together with the object. */
export interface VariantSpec extends ImageSize {
  readonly format: VariantFormat
  /** 1 to 100. */
  readonly quality: number
}

/** Resizes images: Cloudflare's Images binding, or an equivalent. */
export interface ImageResizer {
  input(image: ReadableStream<Uint8Array>): {
    transform(options: { width: number; height?: number; fit: ImageSize['fit'] }): {
      output(options: {
        format: 'image/avif' | 'image/webp' | 'image/jpeg' | 'image/png'
        quality: number
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

function acceptedFormat(width: number, accept: string): VariantFormat {
  if (width <= MAX_AVIF_WIDTH && accepts(accept, 'image/avif')) return 'avif'
  return accepts(accept, 'image/webp') ? 'webp' : 'compatible'
}

/** Tells whether an `Accept` header names `type`, with another weight than zero. */
const accepts = (accept: string, type: string): boolean => Number(weightsIn(accept).get(type)) > 0

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

/** Returns the headers of an image, with what is left now of its copies' lifetime. */
function headersOf(headers: KeptImage['headers']): Headers {
  const made = new Headers(headers.map(([name, value]): [string, string] => [name, value]))
  const expires = made.get(COPY_EXPIRES)
  if (expires !== null) made.set('Cache-Control', copyLifetime(Number(expires)))
  return made
}

/**
 * Resizes the image in `original`, the response of `openObject`. Keeps its date and the lifetime and
 * tag of its copies. The entity tag is the digest of the bytes. Throws `unsupported_image` for
 * anything but an image that can be resized, and `image_unavailable` if it can't be resized now.
 */
export async function resize(
  original: Response,
  { width, height, fit, format, quality }: VariantSpec,
  resizer: ImageResizer | null,
): Promise<KeptImage> {
  const kept = ['last-modified', 'cache-control', 'cache-tag', COPY_EXPIRES].flatMap((name) => {
    const value = original.headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  const image = await readImage(original)
  const info = imageInfo(image)
  if (info === null) throw unsupported('This is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image.')
  if (info.width * info.height * info.frames > MAX_PIXELS)
    throw unsupported(`This image has more than ${MAX_PIXELS / 1_000_000} megapixels.`)
  if (resizer === null) throw unavailable('no Images binding')

  const type = `image/${format === 'compatible' ? compatibleWith(info.type) : format}` as const
  const size = { width, fit, ...(height === null ? {} : { height }) }
  const made = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const source = new Response(image).body ?? new ReadableStream<Uint8Array>()
    const result = await resizer.input(source).transform(size).output({ format: type, quality })
    return new Uint8Array(await result.response().arrayBuffer())
  }
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = await within(RESIZE_MILLISECONDS, made())
  } catch (error) {
    throw resizeError(error)
  }
  // Checks the result too, since a resizer that is not enabled may return the original.
  const output = imageInfo(bytes)
  if (output?.type !== type) throw unavailable('the Images binding returned another type')
  if (output.width > width) throw unavailable('the Images binding returned another size')
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

/** PNG may be transparent, and so may GIF and WebP. JPEG can't show that. */
const compatibleWith = (type: ImageType): 'png' | 'jpeg' =>
  type === 'image/png' || type === 'image/gif' || type === 'image/webp' ? 'png' : 'jpeg'

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
