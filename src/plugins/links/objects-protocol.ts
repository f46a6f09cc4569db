import * as z from 'zod/mini'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { FITS, VARIANT_FORMATS, type VariantSpec } from '../../bucket/image-size.ts'
import {
  ApiError,
  asApiError,
  type ErrorCode,
  isErrorCode,
  restored,
  statusOf,
} from '../../errors/api-error.ts'
import { deadlineOf, newDeadline, RequestTime } from '../../errors/deadline.ts'
import { describe } from '../../errors/describe.ts'
import { uriEncode } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { ObjectRequest } from '../../storage/object-source.ts'
import { copiesOf, copySeconds } from './open-object.ts'

/** Headers of a request to `Objects`. They are in no copy's name. */
const NAMES = {
  /** Repeats `Range`, which Workers Caching removes from the requests that it sends on. */
  range: 'X-Wanted-Range',
  /** HEAD. Workers Caching turns a HEAD without a copy into a GET. */
  method: 'X-Wanted-Method',
  /** The alias of the bucket. Aliases of a bucket share copies. */
  alias: 'X-Alias',
  /** Id and deadline of the request that asks, for the log and the bucket. */
  asker: 'X-Asker',
  deadline: 'X-Deadline',
}

/** The header with the length of an object in the response to a HEAD, which may have become a GET. */
const LENGTH = 'X-Object-Length'
/** The header with an error as percent-encoded JSON, since a HEAD has no body. */
export const FAILURE = 'X-Failure'

/** Returns the URL for `Objects`, which names the copy. Each lifetime and each variant has its own. */
export const copyUrl = async (
  bucket: ConfiguredBucket,
  key: ObjectKey,
  variant: VariantSpec | null = null,
): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}?edgeTtl=${copySeconds(bucket, key)}${variant === null ? '' : `&${specQuery(variant)}`}`

/** Returns a request to `Objects` with nothing of the client's own, since all share the copy. */
export async function objectRequest({
  method,
  bucket,
  key,
  range,
  variant,
  asker,
}: ObjectRequest): Promise<Request> {
  const headers = {
    [NAMES.alias]: bucket.alias,
    ...(method === 'HEAD' && { [NAMES.method]: method }),
    ...(range !== null && { Range: range, [NAMES.range]: range }),
    [NAMES.asker]: asker.requestId,
    [NAMES.deadline]: String(deadlineOf(asker.now)),
  }
  return new Request(await copyUrl(bucket, key, variant), { method, headers })
}

/** What a request to `Objects` asks for. */
export type AskedObject = ReturnType<typeof readRequest>

/** Reads a request from `objectRequest`, whatever a cache has changed in it. */
export function readRequest({ url, method, headers }: Request) {
  const { pathname, searchParams } = new URL(url)
  const [, copies, path = ''] = pathname.split('/').map(decodeURIComponent)
  const deadline = Number(headers.get(NAMES.deadline) ?? Infinity)
  return {
    url,
    copies,
    path,
    variant: specIn(searchParams),
    edgeTtl: searchParams.get('edgeTtl'),
    isHead: method === 'HEAD' || headers.get(NAMES.method) === 'HEAD',
    range: headers.get(NAMES.range),
    alias: headers.get(NAMES.alias) ?? '',
    requestId: headers.get(NAMES.asker) ?? '',
    now: new RequestTime(Math.min(deadline, newDeadline())),
  }
}

/** Returns the headers of an object for a HEAD, which no cache may take for those of a whole one. */
export function headOnly({ headers: given }: Response): Response {
  const headers = new Headers(given)
  const length = headers.get('content-length')
  if (length !== null) headers.set(LENGTH, length)
  for (const name of ['content-length', 'cache-tag']) headers.delete(name)
  headers.set('Cache-Control', 'no-store')
  return new Response(null, { headers })
}

/** Returns the response to a HEAD with the length of the object. */
export function asHead(answer: Response): Response {
  const headers = new Headers(answer.headers)
  const length = headers.get(LENGTH)
  if (length !== null) headers.set('Content-Length', length)
  return new Response(null, { status: answer.status, headers })
}

/** Sets the `CF-Cache-Status` that Workers Caching would set. */
export function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

const failureSchema = z.object({
  code: z.custom<ErrorCode>(isErrorCode),
  message: z.string(),
  cause: z.optional(z.string()),
  reason: z.optional(z.string()),
  retryAfterSeconds: z.optional(z.number()),
})

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

/** Returns the error in a response of `Objects`. */
export function failureOf({ headers, status }: Response): Error {
  const json = decodeURIComponent(headers.get(FAILURE) ?? 'null')
  const read = failureSchema.safeParse(JSON.parse(json))
  if (!read.success) return new Error(`Objects answered with status ${status}.`)
  const { code, message, ...details } = read.data
  // The entrypoint has every bucket of its own presigner.
  if (code === 'unknown_bucket')
    return new ApiError(
      'misconfigured',
      'The objects entrypoint has other settings. Set links({ entrypoint }) to another, or to null.',
      { reason: 'settings' },
    )
  return restored(code, message, details)
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
