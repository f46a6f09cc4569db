import type { ErrorCode } from './error-code.ts'

/** Errors with a status of 500 or more that a retry doesn't fix. */
const LASTING: readonly ErrorCode[] = ['misconfigured', 'credentials_expired', 'not_supported']

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
  readonly retryAfter?: number | undefined
  readonly cause?: unknown
}

/**
 * Why a call failed. `status` is the status of the Worker's response, or of the bucket's for
 * `bucket_refused`. It is 0 without a response.
 */
export class PresignerError extends Error {
  override readonly name = 'PresignerError'
  readonly code: ErrorCode
  readonly status: number
  /** The id of the request in the Worker's log. */
  readonly requestId: string | undefined
  readonly issues: readonly Issue[]
  /** For `unauthenticated`: `missing`, `malformed`, `expired` or `not_accepted`. */
  readonly reason: string | undefined
  /** Seconds to wait before a retry, from the Worker's Retry-After; 0 without one. */
  readonly retryAfter: number

  constructor(
    code: ErrorCode,
    message: string,
    {
      status = 0,
      requestId,
      issues = [],
      reason,
      retryAfter = 0,
      cause,
    }: PresignerErrorOptions = {},
  ) {
    super(message, { cause })
    this.code = code
    this.status = status
    this.requestId = requestId
    this.issues = issues
    this.reason = reason
    this.retryAfter = retryAfter
  }

  /** Whether the same request may succeed later: after no response, 408, 429 and most 5xx. */
  get retryable(): boolean {
    const { code, status } = this
    return (
      !LASTING.includes(code) &&
      (['network', 'unreachable'].includes(code) ||
        [408, 429].includes(status) ||
        (status >= 500 && status !== 501))
    )
  }
}
