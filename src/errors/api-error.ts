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
  password_wrong: 403,
  not_found: 404,
  object_not_found: 404,
  upload_not_found: 404,
  unknown_bucket: 404,
  encoding_not_acceptable: 406,
  object_exists: 409,
  file_replaced: 409,
  drop_box_full: 409,
  upload_ended: 409,
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
  unavailable: 503,
} as const

export type ErrorCode = keyof typeof STATUS_BY_CODE

export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && isIn(STATUS_BY_CODE, value)

const isIn = <Table extends object>(table: Table, name: PropertyKey): name is keyof Table =>
  Object.hasOwn(table, name)

/**
 * The codes that say more in `reason`, with all reasons that a client can receive. What is
 * `misconfigured`, only the owner can mend. What is `unavailable`, a later request may find again.
 */
export const REASONS_BY_CODE = {
  unauthenticated: ['missing', 'malformed', 'expired', 'not_accepted'],
  link_invalid: ['signature', 'not_yet', 'address', 'country'],
  misconfigured: ['settings', 'credentials', 'expired', 'clock'],
  unavailable: [
    'storage',
    'credentials_source',
    'index',
    'events',
    'images',
    'state',
    'issuer',
    'purge',
    'notification',
  ],
} as const satisfies Partial<Record<ErrorCode, readonly string[]>>

export type CodeWithReason = keyof typeof REASONS_BY_CODE

/** The reasons of a code. */
export type Reason<Code extends CodeWithReason = CodeWithReason> =
  (typeof REASONS_BY_CODE)[Code][number]

/** One error in an input. `path` is dotted, from the root of the body, query or settings. */
export interface Issue {
  readonly path: string
  readonly message: string
}

/**
 * Returns what is wrong with an object that has other members than `known`, or null. Names them only if
 * `isOpen`: `/healthz` is public, and somebody may have pasted a secret as a name of a setting.
 */
export function unknownMembers(
  given: object,
  known: readonly string[],
  isOpen = false,
): string | null {
  const unknown = Object.keys(given).filter((name) => !known.includes(name))
  return unknown.length === 0
    ? null
    : `has unknown members: ${isOpen ? unknown.join(', ') : unknown.length}. Known members: ${known.join(', ')}`
}

/** Tells whether this is an object with members: no list, Error, Date, promise and the like. */
export const isObject = (given: unknown): given is object =>
  Object.prototype.toString.call(given) === '[object Object]'

interface Details {
  readonly issues?: readonly Issue[] | undefined
  readonly cause?: unknown
  /** For `refused`: 400 to 499. */
  readonly status?: number | undefined
  /** For `precondition_failed`: the object's ETag in its quotes, or null without an object. */
  readonly etag?: string | null | undefined
  /** Whether a DELETE has removed the object, although something failed after that. */
  readonly deleted?: true | undefined
}

/** What a response says of an error besides its code and message. JSON leaves out what is undefined. */
export type ErrorDetails = Pick<Details, 'etag' | 'deleted' | 'issues'> & {
  readonly reason?: Reason | undefined
}

/** What the client learns besides the code. */
interface Why<Code extends CodeWithReason> {
  readonly reason: Reason<Code>
}

/** Seconds to wait before a retry. The client receives them. */
interface Wait {
  readonly retryAfterSeconds: number
}

/** A code that needs no details. */
export type PlainCode = Exclude<ErrorCode, CodeWithReason | 'rate_limited'>

/** An error that a caller can identify by its `code`. */
export interface PresignerError extends Error {
  readonly code: ErrorCode
  /** What is wrong with the input, one issue per error. */
  readonly issues: readonly Issue[]
  /** Why, for the codes that have reasons. */
  readonly reason?: Reason | undefined
}

/** Tells whether `error` comes from this package, also from another copy of it. */
export function isPresignerError(error: unknown): error is PresignerError {
  try {
    return (
      error instanceof Error &&
      error.name === 'PresignerError' &&
      'code' in error &&
      isErrorCode(error.code)
    )
  } catch {
    return false // an object that throws when it is read
  }
}

/** Ends a request with `code` and a message that the client may read. Only the log gets `cause`. */
export class ApiError extends Error implements PresignerError {
  override readonly name = 'PresignerError'
  readonly code: ErrorCode
  declare readonly issues: readonly Issue[]
  declare readonly retryAfterSeconds: number | undefined
  declare readonly reason: Reason | undefined
  declare readonly status: Details['status']
  declare readonly etag: Details['etag']
  declare readonly deleted: Details['deleted']

  constructor(code: 'unavailable', message: string, details: Details & Why<'unavailable'> & Wait)
  constructor(
    code: 'misconfigured',
    message: string,
    details: Details & Why<'misconfigured'> & { readonly [Name in keyof Wait]?: never },
  )
  constructor(code: 'link_invalid', message: string, details: Details & Why<'link_invalid'>)
  constructor(
    code: 'unauthenticated',
    message: string,
    details?: Details & Partial<Why<'unauthenticated'>>,
  )
  constructor(code: 'rate_limited', message: string, details?: Details & Partial<Wait>)
  constructor(code: PlainCode, message: string, details?: Details)
  constructor(
    code: ErrorCode,
    message: string,
    { cause, ...details }: Details & Partial<Why<CodeWithReason> & Wait> = {},
  ) {
    super(message, { cause })
    Object.assign(this, { issues: [] }, details)
    this.code = code
  }
}

/** Returns the error for a request that is well-formed, and breaks the rules for its members. */
export const invalidRequest = (issues: readonly Issue[]): ApiError =>
  new ApiError('invalid_request', 'The request is not valid.', { issues })

/** Returns `invalid_request` for one member of a request that breaks its rule. */
export const invalidMember = (path: string, message: string): ApiError =>
  invalidRequest([{ path, message }])

/** Returns the members of a response besides code and message, also for one item of a list. */
export const detailsOf = ({ reason, etag, deleted, issues }: ApiError): ErrorDetails => ({
  reason,
  etag,
  deleted,
  issues: issues.length === 0 ? undefined : issues,
})

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

/** Returns an error of any copy of this package, with `changes`. */
export function copyOf(
  thrown: PresignerError,
  changes: Pick<Details, 'deleted'> & { readonly message?: string } = {},
): ApiError {
  const { code, message, issues, cause, ...more } = thrown as ApiError
  const { reason, retryAfterSeconds, status, etag, deleted } = { ...more, ...changes }
  return restored(code, String(changes.message ?? message), {
    reason,
    retryAfterSeconds,
    status,
    etag,
    deleted,
    cause,
    issues: Array.isArray(issues) ? issues : [],
  })
}

/** Returns the error for what nobody has foreseen. Only the log says more. */
export const internalError = (cause: unknown): ApiError =>
  new ApiError('internal', 'Internal error. See the log.', { cause })

interface Foreign {
  readonly reason?: unknown
  readonly retryAfterSeconds?: unknown
}

/** Seconds until a retry, if an error states no other time. */
const RETRY_AFTER_SECONDS = 5

/**
 * Returns an error with the members of one from elsewhere, such as another isolate or another copy of
 * this package. A reason that its code doesn't have becomes the first one, and a missing wait five seconds.
 */
export function restored(
  code: ErrorCode,
  message: string,
  { reason, retryAfterSeconds, ...details }: Details & Foreign,
): ApiError {
  const error = new ApiError('internal', message, details)
  const wait = Number(retryAfterSeconds) > 0 ? Number(retryAfterSeconds) : undefined
  const waits = { rate_limited: wait, unavailable: wait ?? RETRY_AFTER_SECONDS }
  const isUntold = code === 'unauthenticated' && reason === undefined
  return Object.assign(error, {
    code,
    ...(isIn(REASONS_BY_CODE, code) && !isUntold
      ? { reason: oneOf(REASONS_BY_CODE[code], reason) }
      : {}),
    ...(isIn(waits, code) ? { retryAfterSeconds: waits[code] } : {}),
  })
}

const oneOf = <T>(reasons: readonly [T, ...T[]], given: unknown): T =>
  reasons.find((reason) => reason === given) ?? reasons[0]

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
