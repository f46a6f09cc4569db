import type { ErrorCode } from './error-code.ts'

/** Codes of errors with a status of 500 or more, except 501, that a retry doesn't fix. */
const LASTING = /^(misconfigured|credentials_|clock_skew)/

/** One error in an input. `path` is a dotted path from the root of the body or the query. */
export interface Issue {
  readonly path: string
  readonly message: string
}

export interface PresignerErrorOptions {
  readonly status?: number | undefined
  readonly requestId?: string | undefined
  readonly issues?: readonly Issue[] | undefined
  readonly reason?: string | undefined
  readonly etag?: string | null | undefined
  readonly retryAfter?: number | undefined
  readonly cause?: unknown
}

/**
 * Why a call failed. `status` is the status of the Worker's response, or of the bucket's for
 * `bucket_refused`. It is 0 without a response.
 */
export class PresignerError extends Error {
  override readonly name = 'PresignerError'
  declare readonly code: ErrorCode
  declare readonly status: number
  /** The id of the request in the Worker's log. */
  declare readonly requestId: string | undefined
  declare readonly issues: readonly Issue[]
  /** For `unauthenticated`: `missing`, `malformed`, `expired` or `not_accepted`. */
  declare readonly reason: string | undefined
  /**
   * For `precondition_failed` of the Worker: the ETag that the object has now, or null without an
   * object. Undefined if the bucket refused the upload.
   */
  declare readonly etag: string | null | undefined
  /** Seconds to wait before a retry, from the Worker's Retry-After; 0 without one. */
  declare readonly retryAfter: number

  constructor(
    code: ErrorCode,
    message: string,
    {
      status = 0,
      requestId,
      issues = [],
      reason,
      etag,
      retryAfter = 0,
      cause,
    }: PresignerErrorOptions = {},
  ) {
    super(message, { cause })
    Object.assign(this, { code, status, requestId, issues, reason, etag, retryAfter })
  }

  /** Whether the same request may succeed later: after no response, 408, 429 and most 5xx. */
  get retryable(): boolean {
    const { code, status } = this
    return (
      !LASTING.test(code) &&
      (code === 'network' ||
        code === 'unreachable' ||
        status === 408 ||
        status === 429 ||
        (status >= 500 && status !== 501))
    )
  }
}
