/**
 * Every error code that a client can receive, with its HTTP status. The list is complete, and
 * docs/api.md explains it. Only the status of `refused` varies: the app chooses it.
 */
export const STATUS_BY_CODE = {
  invalid_request: 400,
  malformed_json: 400,
  malformed_url: 400,
  invalid_key: 400,
  key_not_indexable: 400,
  invalid_name: 400,
  invalid_cursor: 400,
  invalid_expiry: 400,
  invalid_mimetype: 400,
  mimetype_not_allowed: 400,
  type_mismatch: 400,
  size_required: 400,
  invalid_upload_id: 400,
  invalid_part: 400,
  size_mismatch: 400,
  unauthenticated: 401,
  forbidden: 403,
  link_invalid: 403,
  link_not_yet_valid: 403,
  link_address_not_allowed: 403,
  link_country_not_allowed: 403,
  password_wrong: 403,
  not_found: 404,
  object_not_found: 404,
  upload_not_found: 404,
  unknown_bucket: 404,
  encoding_not_acceptable: 406,
  object_exists: 409,
  file_replaced: 409,
  drop_box_full: 409,
  user_changed: 409,
  link_expired: 410,
  grant_ended: 410,
  drop_box_closed: 410,
  precondition_failed: 412,
  body_too_large: 413,
  file_too_large: 413,
  unsupported_image: 415,
  unsupported_media_type: 415,
  rate_limited: 429,
  refused: '4XX',
  internal: 500,
  not_supported: 501,
  storage_error: 502,
  misconfigured: 503,
  credentials_expired: 503,
  credentials_unavailable: 503,
  credentials_invalid: 503,
  clock_skew: 503,
  index_unavailable: 503,
  events_unavailable: 503,
  image_unavailable: 503,
  purge_failed: 503,
  auth_unavailable: 503,
  storage_busy: 503,
  state_unavailable: 503,
  notification_early: 503,
} as const

export type ErrorCode = keyof typeof STATUS_BY_CODE

export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(STATUS_BY_CODE, value)

/** Why an `unauthenticated` request was refused, in the detail that a client may see. */
export const REASONS = ['missing', 'malformed', 'expired', 'not_accepted'] as const

export type Reason = (typeof REASONS)[number]

/** One error in an input. `path` is dotted, from the root of the body, query or settings. */
export interface Issue {
  readonly path: string
  readonly message: string
}

/**
 * Returns what is wrong with an object that has other members than `known`, or null. Doesn't name
 * them: `/healthz` is public, and somebody may have pasted a secret as a name.
 */
export function unknownMembers(given: object, known: readonly string[]): string | null {
  const unknown = Object.keys(given).filter((name) => !known.includes(name)).length
  return unknown === 0
    ? null
    : `has unknown members: ${unknown}. Known members: ${known.join(', ')}`
}

/** Tells whether this is an object with members: no list, Error, Date, promise and the like. */
export const isObject = (given: unknown): given is object =>
  Object.prototype.toString.call(given) === '[object Object]'

export interface ApiErrorOptions {
  readonly issues?: readonly Issue[]
  readonly cause?: unknown
  /** Seconds to wait before a retry. The client receives them. */
  readonly retryAfterSeconds?: number | undefined
  /** For `unauthenticated`. The client receives it. */
  readonly reason?: Reason | undefined
  /** For `refused`: 400 to 499. */
  readonly status?: number | undefined
  /** For `precondition_failed`: the object's ETag in its quotes, or null without an object. */
  readonly etag?: string | null | undefined
}

/** An error that a caller can identify by its `code`. */
export interface PresignerError extends Error {
  readonly code: ErrorCode
  /** What is wrong with the input, one issue per error. */
  readonly issues: readonly Issue[]
}

/** Tells whether `error` comes from this package, also from another copy of it. */
export const isPresignerError = (error: unknown): error is PresignerError =>
  error instanceof Error &&
  error.name === 'PresignerError' &&
  'code' in error &&
  isErrorCode(error.code)

/** Ends a request with `code` and a message that the client may read. Only the log gets `cause`. */
export class ApiError extends Error implements PresignerError {
  override readonly name = 'PresignerError'
  readonly code: ErrorCode
  declare readonly issues: readonly Issue[]
  declare readonly retryAfterSeconds: ApiErrorOptions['retryAfterSeconds']
  declare readonly reason: ApiErrorOptions['reason']
  declare readonly status: ApiErrorOptions['status']
  declare readonly etag: ApiErrorOptions['etag']

  constructor(code: ErrorCode, message: string, { cause, ...more }: ApiErrorOptions = {}) {
    super(message, { cause })
    Object.assign(this, { issues: [] }, more)
    this.code = code
  }
}

/** Returns the error for a request that is well-formed, and breaks the rules for its members. */
export const invalidRequest = (issues: readonly Issue[]): ApiError =>
  new ApiError('invalid_request', 'The request is not valid.', { issues })

/** Returns `invalid_request` for one member of a request that breaks its rule. */
export const invalidMember = (path: string, message: string): ApiError =>
  invalidRequest([{ path, message }])

/** Returns the HTTP status of the response. Not a member, so that a signer has no table of codes. */
export function statusOf({ code, status }: ApiError): number {
  const usual = STATUS_BY_CODE[code]
  return usual === '4XX' ? (isRefusal(status) ? status : 400) : usual
}

const isRefusal = (status: unknown): status is number =>
  Number.isInteger(status) && /^4..$/.test(String(status))

/**
 * Returns `thrown` as an ApiError if it comes from any copy of this package, or if it is an
 * HTTPException of Hono with a status of 400 to 499, with which an app refuses a request. Otherwise,
 * returns null.
 */
export function asApiError(thrown: unknown): ApiError | null {
  try {
    if (thrown instanceof ApiError && isErrorCode(thrown.code)) return thrown
    return isPresignerError(thrown) ? copyOf(thrown) : refusalIn(thrown)
  } catch {
    return null // an object that throws when it is read
  }
}

function copyOf(thrown: PresignerError): ApiError {
  const { code, message, issues, cause, retryAfterSeconds, reason, status, etag } =
    thrown as ApiError
  return new ApiError(code, String(message), {
    issues: Array.isArray(issues) ? issues : [],
    cause,
    retryAfterSeconds: Number(retryAfterSeconds) || undefined,
    reason,
    status,
    etag,
  })
}

/** Knows an HTTPException by its members, since the app may have another copy of Hono. */
function refusalIn(thrown: unknown): ApiError | null {
  if (!(thrown instanceof Error && 'getResponse' in thrown && 'status' in thrown)) return null
  const { status, message } = thrown
  if (!isRefusal(status)) return null
  const why = { status, cause: thrown }
  if (status === 401) return new ApiError('unauthenticated', 'Valid credentials are required.', why)
  return status === 403
    ? new ApiError('forbidden', REFUSED, why)
    : new ApiError('refused', message || REFUSED, why)
}

const REFUSED = 'The app refused this.'
