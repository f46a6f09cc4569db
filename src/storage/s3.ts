import type { Address, Bucket, Credentials } from '../bucket/bucket.ts'
import { ApiError, asApiError, type PlainCode, type Reason } from '../errors/api-error.ts'
import { outOfTime, timeLeft } from '../errors/deadline.ts'
import { secondsAsked } from '../errors/retry-delay.ts'
import { logWarning } from '../errors/warnings.ts'
import { type AuthorizedInput, authorize } from '../signing/authorization-header.ts'
import { credentialsExpired } from '../signing/expiry.ts'
import { StorageFailure } from './storage-failure.ts'

export interface ObjectRequest extends Omit<AuthorizedInput, 'credentials' | 'signedAt'> {
  /** Default: the bucket's access key for reads. */
  readonly credentials?: Credentials
  /** Name of the S3 operation. Default: the operation of the method on an object. */
  readonly operation?: string
  /** The bytes of an object. `headers` has their length. */
  readonly object?: ReadableStream<Uint8Array>
}

/** Maximum seconds for one request to a bucket. */
export const TIMEOUT_SECONDS = 10

/** Maximum size of a response that is read into memory. A page of ListParts has about 300 KB. */
const MAX_TEXT_BYTES = 4 * 1024 ** 2

/** Seconds to wait if a busy bucket doesn't state them, and the maximum that it may state. */
const RETRY_AFTER_SECONDS = 5
const MAX_RETRY_AFTER_SECONDS = 3600

const BUSY = ['SlowDown', 'ServiceUnavailable', 'TooManyRequests', 'ConditionalRequestConflict']

/**
 * S3's codes for what stays wrong until somebody sets a clock or the credentials. R2 returns
 * ExpiredRequest and Unauthorized, MinIO InvalidTokenId, and Google Cloud Storage InvalidSecurity.
 */
const LASTING: readonly (readonly [Reason<'misconfigured'>, RegExp])[] = [
  ['clock', /^(RequestTimeTooSkewed|ExpiredRequest)$/],
  ['expired', /^(ExpiredToken|TokenRefreshRequired)$/],
  [
    'credentials',
    /^(InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken(Id)?|InvalidSecurity|AuthFailure|Unauthorized)$/,
  ],
]

/** A clock this far ahead is reported. All requests with the same `now` take less time. */
const MAX_AHEAD_SECONDS = 180

/** Buckets whose clock was reported in this isolate. Narrower copies have the same address. */
const reportedAhead = new WeakSet<Address>()

const OBJECT_OPERATIONS = {
  GET: 'GetObject',
  HEAD: 'HeadObject',
  PUT: 'PutObject',
  DELETE: 'DeleteObject',
  POST: 'PostObject',
} as const

/** A response of a bucket, with its complete body. */
export interface BucketResponse {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/**
 * Sends one signed request, without retries and caching. Resolves with any response. Throws
 * `storage_error` without one in ten seconds, `misconfigured`, and `unavailable` at the
 * deadline of `now`. The body has no deadline. Warns about a bucket's clock that is ahead.
 */
export const fetchObject = (request: ObjectRequest, now: Date): Promise<Response> =>
  withDeadline(TIMEOUT_SECONDS, now, (signal) => send(request, now, signal))

/** Sends a request and reads its whole response, until `signal`. Not for an object. */
export async function ask(
  request: ObjectRequest,
  now: Date,
  signal: AbortSignal,
): Promise<BucketResponse> {
  const response = await send(request, now, signal)
  const text = await readText(response, operationOf(request), signal)
  return { status: response.status, headers: response.headers, text }
}

/** Runs `act` with a signal of `seconds`, or until `now`'s deadline: then `unavailable`. */
export async function withDeadline<T>(
  seconds: number,
  now: Date,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const left = timeLeft(seconds * 1000, now)
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), left)
  try {
    return await act(abort.signal)
  } catch (error) {
    // The cause tells whether the operation may have happened.
    throw abort.signal.aborted && left < seconds * 1000
      ? outOfTime(asApiError(error)?.cause ?? error)
      : error
  } finally {
    clearTimeout(timer)
  }
}

/** Sends a request. Resolves as soon as the response begins. */
export async function send(
  request: ObjectRequest,
  now: Date,
  signal: AbortSignal,
): Promise<Response> {
  const { bucket, credentials = bucket.credentials, method, object, body = object } = request
  if (credentials.expiresAt <= now.getTime()) throw credentialsExpired()
  const { url, headers } = await authorize({ ...request, credentials, signedAt: now })
  try {
    // An object arrives as it is stored: the server doesn't encode it, and the runtime doesn't
    // decode it.
    const isObject = request.query === undefined
    if (isObject) headers.set('Accept-Encoding', 'identity')
    // Without no-store, Cloudflare may send a GET instead of a HEAD, and the signature doesn't
    // match.
    const response = await fetch(url, {
      method,
      headers,
      cache: 'no-store',
      redirect: 'manual',
      encodeResponseBody: isObject ? 'manual' : 'automatic',
      signal,
      ...(body === undefined ? {} : { body }),
      ...(object === undefined ? {} : { duplex: 'half' }), // Node requires it
    })
    if (object === undefined) reportClock(bucket, response.headers.get('date'), now)
    return response
  } catch (cause) {
    throw noResponse('The bucket did not respond.', operationOf(request), cause)
  }
}

/** Warns about a clock that is ahead: URLs expire early. A cache may also send an old date. */
function reportClock(bucket: Bucket, date: string | null, now: Date): void {
  const { publicAddress: address } = bucket
  const seconds = Math.round((Date.parse(date ?? '') - now.getTime()) / 1000)
  if (!(seconds >= MAX_AHEAD_SECONDS) || reportedAhead.has(address)) return
  reportedAhead.add(address)
  logWarning('clock of the bucket ahead', { bucket: bucket.alias, seconds })
}

/** Returns the body as text. A response may break off, stall, or never end. */
async function readText(
  { body, status }: Response,
  operation: string,
  signal: AbortSignal,
): Promise<string> {
  if (body === null) return ''
  const reader = body.getReader()
  const stop = () => void reader.cancel().catch(() => undefined)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop)
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) return text + decoder.decode()
      text += decoder.decode(value, { stream: true })
      if (text.length > MAX_TEXT_BYTES) throw new Error('The response is too large.')
    }
  } catch (cause) {
    stop()
    throw noResponse("The bucket's response ended early.", operation, cause, status)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

const operationOf = ({ operation, method }: ObjectRequest): string =>
  operation ?? OBJECT_OPERATIONS[method]

/** Returns the error for a response to `operation` that is missing or breaks off after `status`. */
const noResponse = (
  message: string,
  operation: string,
  cause: unknown,
  status: number | null = null,
): ApiError =>
  new ApiError('storage_error', message, {
    cause: new StorageFailure(operation, status, null, cause),
  })

/** Returns S3's code in an error document or null: one word, since clients and logs get it. */
export const s3CodeIn = (text: string): string | null =>
  /^\s*(?:<\?[^>]*>\s*)?<Error[\s>][\s\S]*?<Code>([\w.]{1,64})<\/Code>/.exec(text)?.[1] ?? null

/** Reads S3's error code in a body. Resolves with null if there is none, or not in time. */
export const readS3Code = (response: Response, now: Date): Promise<string | null> =>
  withDeadline(TIMEOUT_SECONDS, now, (signal) => readText(response, '', signal)).then(
    s3CodeIn,
    () => null,
  )

/**
 * Returns the error for an unexpected response to `operation`: `unavailable` if the bucket asks
 * for fewer requests, `misconfigured` if it refuses the signature, otherwise `code`.
 */
export function unexpectedResponse(
  operation: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  s3Code: string | null = null,
  code: PlainCode = 'storage_error',
): ApiError {
  const cause = new StorageFailure(operation, status, s3Code)
  if (status === 429 || status === 503 || BUSY.includes(s3Code ?? ''))
    return new ApiError('unavailable', 'The bucket is busy. Try again later.', {
      reason: 'storage',
      cause,
      retryAfterSeconds: Math.min(
        secondsAsked(headers.get('retry-after'), new Date()) || RETRY_AFTER_SECONDS,
        MAX_RETRY_AFTER_SECONDS,
      ),
    })
  const what = s3Code ?? `status ${status}`
  const message = `The bucket answered ${operation} with ${what}.`
  const [reason] = LASTING.find(([, codes]) => codes.test(what)) ?? []
  return reason === undefined
    ? new ApiError(code, message, { cause })
    : new ApiError('misconfigured', message, { reason, cause })
}

/** Returns the error for an upload that must not replace the object under its key. */
export const objectExists = (cause?: StorageFailure): ApiError =>
  new ApiError(
    'object_exists',
    'There is already an object under this key. Choose another key, or send overwrite: true.',
    { cause },
  )

/** Returns an ETag without its quotes, the form that S3 compares in CompleteMultipartUpload. */
export const unquoted = (etag: string): string => etag.replaceAll('"', '')
