import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { FITS, VARIANT_FORMATS, type VariantSpec } from '../../bucket/image-size.ts'
import { ApiError, asApiError, statusOf } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { uriEncode } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { copiesOf } from './open-object.ts'

/** The header that repeats `Range`, since Workers Caching removes that from its requests. */
export const WANTED_RANGE = 'X-Wanted-Range'

/** The header with the alias of the bucket. It is not in the name of a copy: aliases share copies. */
export const ALIAS = 'X-Alias'

/** The headers with the id and the deadline of the request that asks, for the log and the bucket. */
export const ASKER = 'X-Asker'
export const DEADLINE = 'X-Deadline'

/** The header with an error as percent-encoded JSON, since a HEAD has no body. */
export const FAILURE = 'X-Failure'

/** Returns the name of an object's copy: the URL for `Objects`, without its query. */
export const copyUrl = async (bucket: ConfiguredBucket, key: ObjectKey): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}`

/** Sets the `CF-Cache-Status` that Workers Caching would set. */
export function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

/** Returns an error with the log's reason. Without `no-store`, a cache may even store a 404. */
export function failure(error: unknown): Response {
  if (!(error instanceof ApiError)) throw error
  const { code, message, reason, retryAfterSeconds } = error
  const cause = error.cause === undefined ? undefined : describe(error.cause)
  const json = JSON.stringify({ code, message, cause, reason, retryAfterSeconds })
  return new Response(null, {
    status: statusOf(error),
    headers: { 'Cache-Control': 'no-store', [FAILURE]: encodeURIComponent(json) },
  })
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

const NOT_RESIZED = 'no images'

/** Returns the error for an image where none are resized. */
export const notResized = (): ApiError =>
  new ApiError(
    'misconfigured',
    'Images are resized only by Cloudflare Images and behind an edge cache.',
    {
      reason: 'settings',
      cause: NOT_RESIZED,
    },
  )

/** Tells whether this error is about the image or its resizing, and not about the bucket. */
export function isImageError(error: unknown): boolean {
  const { code, reason, cause } = asApiError(error) ?? {}
  return code === 'unsupported_image' || reason === 'images' || cause === NOT_RESIZED
}
