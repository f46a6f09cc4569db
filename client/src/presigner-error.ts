import type { Issue } from './answers/files.ts'
import type { ErrorCode } from './error-code.ts'

/** No response, 408, 429, and 5xx except 501. */
const TEMPORARY = /^(?:network|unreachable|408|429|5(?!01)\d\d)$/

type Detail = 'status' | 'requestId' | 'issues' | 'reason' | 'etag' | 'deleted' | 'retryAfter'

export type PresignerErrorOptions = ErrorOptions & {
  readonly [Name in Detail]?: PresignerError[Name] | undefined
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
  /** Why, for `unauthenticated`, `link_invalid`, `misconfigured` and `unavailable`. */
  declare readonly reason: string | undefined
  /**
   * For `precondition_failed` of the Worker: the ETag that the object has now, or null without an
   * object. Undefined if the bucket refused the upload.
   */
  declare readonly etag: string | null | undefined
  /** Whether the object is deleted, although the request to delete it has failed. */
  declare readonly deleted: boolean
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
      deleted = false,
      retryAfter = 0,
      cause,
    }: PresignerErrorOptions = {},
  ) {
    super(message, { cause })
    Object.assign(this, { code, status, requestId, issues, reason, etag, deleted, retryAfter })
  }

  /** Whether the same request may succeed later. Not if a repeat would delete another object. */
  get retryable(): boolean {
    return (
      !this.deleted &&
      this.code !== 'misconfigured' &&
      TEMPORARY.test(String(this.status || this.code))
    )
  }
}

/** Returns what was thrown as an Error. */
export const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown))
