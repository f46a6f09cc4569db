import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { ApiError, type ErrorCode } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { authorize } from '../signing/authorization-header.ts'
import { credentialsExpired } from '../signing/expiry.ts'
import { StorageFailure } from './storage-failure.ts'
import { readXml, textOf } from './xml.ts'

export interface ObjectRequest {
  readonly bucket: Bucket
  /** Undefined takes those that read. */
  readonly credentials?: Credentials
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Name of the S3 operation; that of the method on an object unless given. */
  readonly operation?: string
  readonly key: ObjectKey
  /** Query of the S3 operation, such as `uploadId`. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The bytes of an object: their length is in `headers`. */
  readonly object?: ReadableStream<Uint8Array>
}

/** Seconds that one request to a bucket may take. */
export const TIMEOUT_SECONDS = 10

/** The largest answer that is read as a whole: a page of ListParts has about 300 KB. */
const MAX_TEXT_BYTES = 4 * 1024 ** 2

/** Seconds to wait where a busy bucket doesn't say, and the longest that it may ask for. */
const RETRY_AFTER_SECONDS = 5
const MAX_RETRY_AFTER_SECONDS = 3600

const BUSY = ['SlowDown', 'ServiceUnavailable', 'TooManyRequests']

const OBJECT_OPERATIONS = {
  GET: 'GetObject',
  HEAD: 'HeadObject',
  PUT: 'PutObject',
  DELETE: 'DeleteObject',
  POST: 'PostObject',
} as const

/** An answer of a bucket that was read to its end. */
export interface BucketAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/**
 * One signed request to a bucket, sent once and never cached. Resolves with whatever the bucket
 * answers; throws `storage_error` where no answer begins within ten seconds, and
 * `credentials_expired`. The body has no deadline.
 */
export const fetchObject = (request: ObjectRequest, now: Date): Promise<Response> =>
  withDeadline(TIMEOUT_SECONDS, (signal) => send(request, now, signal))

/**
 * The same for an answer without an object in it. It is read whole: `signal` is the deadline for
 * its body too.
 */
export async function ask(
  request: ObjectRequest,
  now: Date,
  signal: AbortSignal,
): Promise<BucketAnswer> {
  const response = await send(request, now, signal)
  const text = await readText(response, operationOf(request), signal)
  return { status: response.status, headers: response.headers, text }
}

/** Runs `act` with a signal that aborts after `seconds`. */
export async function withDeadline<T>(
  seconds: number,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), seconds * 1000)
  try {
    return await act(abort.signal)
  } finally {
    clearTimeout(timer)
  }
}

async function send(request: ObjectRequest, now: Date, signal: AbortSignal): Promise<Response> {
  const { bucket, credentials = bucket.credentials, method, object, body = object } = request
  if (credentials.expiresAt <= now.getTime()) throw credentialsExpired()
  const { url, headers } = await authorize({ ...request, credentials, signedAt: now })
  try {
    // An object comes as it is stored: nobody encodes it on the way, and nobody decodes it here.
    const isObject = request.query === undefined
    if (isObject) headers.set('Accept-Encoding', 'identity')
    // Without no-store, Cloudflare may send a GET in place of a HEAD, which the signature doesn't
    // cover.
    return await fetch(url, {
      method,
      headers,
      cache: 'no-store',
      redirect: 'manual',
      encodeResponseBody: isObject ? 'manual' : 'automatic',
      signal,
      ...(body === undefined ? {} : { body }),
      ...(object === undefined ? {} : { duplex: 'half' }), // Node insists on it
    })
  } catch (cause) {
    throw noAnswer('The bucket did not answer.', operationOf(request), cause)
  }
}

/** The body as text. An answer may break off, stall, or never end after its status. */
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
      if (text.length > MAX_TEXT_BYTES) throw new Error('The answer is too large.')
    }
  } catch (cause) {
    stop()
    throw noAnswer('The bucket ended its answer early.', operation, cause, status)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

const operationOf = ({ operation, method }: ObjectRequest): string =>
  operation ?? OBJECT_OPERATIONS[method]

/** The error where the answer to `operation` is missing, or breaks off after `status`. */
const noAnswer = (
  message: string,
  operation: string,
  cause: unknown,
  status: number | null = null,
): ApiError =>
  new ApiError('storage_error', message, {
    cause: new StorageFailure(operation, status, null, cause),
  })

/** S3's code in an error document, as far as it is one: clients and the log are told it. */
export function s3CodeIn(text: string): string | null {
  const root = readXml(text)
  const code = root?.name === 'Error' ? textOf(root, 'Code') : null
  return code !== null && /^[\w.]{1,64}$/.test(code) ? code : null
}

/** The same, read from the body of `response`; null where it doesn't come in time. */
export const readS3Code = (response: Response): Promise<string | null> =>
  withDeadline(TIMEOUT_SECONDS, (signal) => readText(response, '', signal)).then(
    s3CodeIn,
    () => null,
  )

/**
 * The error for an answer that `operation` can't use: `storage_busy` where the bucket asks for time,
 * otherwise `code`.
 */
export function unexpectedAnswer(
  operation: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  s3Code: string | null = null,
  code: ErrorCode = 'storage_error',
): ApiError {
  const cause = new StorageFailure(operation, status, s3Code)
  if (status === 429 || status === 503 || BUSY.includes(s3Code ?? ''))
    return new ApiError('storage_busy', 'The bucket is busy; try again later.', {
      cause,
      retryAfterSeconds: secondsIn(headers.get('retry-after')),
    })
  const what = s3Code ?? `status ${status}`
  return new ApiError(code, `The bucket answered ${operation} with ${what}.`, { cause })
}

/** Seconds in a Retry-After (RFC 9110, §10.2.3); a date counts as none. */
function secondsIn(retryAfter: string | null): number {
  if (retryAfter === null || !/^\d{1,15}$/.test(retryAfter)) return RETRY_AFTER_SECONDS
  return Math.min(Math.max(Number(retryAfter), 1), MAX_RETRY_AFTER_SECONDS)
}
