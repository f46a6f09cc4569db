import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { ApiError } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { uriEncode } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { copiesOf } from './open-object.ts'

/** The header that repeats `Range`, since Workers Caching removes that from its requests. */
export const WANTED_RANGE = 'X-Wanted-Range'

/** The headers with the id and the deadline of the request that asks, for the log and the bucket. */
export const ASKER = 'X-Asker'
export const DEADLINE = 'X-Deadline'

/**
 * The header that contains an error as percent-encoded JSON, since the response to a HEAD has no
 * body.
 */
export const FAILURE = 'X-Failure'

/** Returns the name of an object's copy: the URL for `Objects`, without its query. */
export const copyUrl = async (bucket: ConfiguredBucket, key: ObjectKey): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}`

/** Marks `response` like Workers Caching. */
export function withStatus(response: Response, status: 'MISS' | 'BYPASS'): Response {
  const marked = new Response(response.body, response)
  marked.headers.set('CF-Cache-Status', status)
  return marked
}

/**
 * Returns an error for the caller, with the reason for the log. It must not be cached: without
 * `no-store`, a cache may even store a 404.
 */
export function failure(error: unknown): Response {
  if (!(error instanceof ApiError)) throw error
  const { code, message, status, cause, retryAfterSeconds } = error
  const reason = cause === undefined ? undefined : describe(cause)
  const json = JSON.stringify({ code, message, reason, retryAfterSeconds })
  return new Response(null, {
    status,
    headers: { 'Cache-Control': 'no-store', [FAILURE]: encodeURIComponent(json) },
  })
}
