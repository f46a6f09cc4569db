import type { ErrorCode } from './error-code.ts'

/** One fault of an input: `path` is dotted from the root of the body or the query. */
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
 * Why a call failed. `status` is that of the Worker's answer, or of the bucket's for
 * `bucket_refused`; 0 without an answer.
 */
export class PresignerError extends Error {
  override readonly name = 'PresignerError'
  readonly code: ErrorCode
  readonly status: number
  /** The Worker's id of the request, as its log has it. */
  readonly requestId: string | undefined
  readonly issues: readonly Issue[]
  /** Of `unauthenticated`: `missing`, `malformed`, `expired` or `not_accepted`. */
  readonly reason: string | undefined
  /** Seconds until another try is worth it, as the Worker says; 0 where it doesn't. */
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
}
