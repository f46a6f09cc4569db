import { ApiError } from '../errors/api-error.ts'

/**
 * Why a request to a bucket failed: for the log, and for those who must know whether the bucket did
 * what was asked. It names no key and no URL, and says nothing in the words of the bucket.
 */
export class StorageFailure extends Error {
  override readonly name = 'StorageFailure'
  /** Null without an answer. */
  readonly status: number | null
  /** S3's own code: `AccessDenied`; null where the answer has none. */
  readonly s3Code: string | null

  constructor(operation: string, status: number | null, s3Code: string | null, cause?: unknown) {
    super([operation, status ?? 'no answer', s3Code ?? []].flat().join(' '), { cause })
    this.status = status
    this.s3Code = s3Code
  }
}

/**
 * Whether the bucket may have done what was asked although `error` came of it: no answer, an answer
 * that can't be believed, or an error of the server. It has not where it redirects or refuses.
 */
export function mayHaveHappened(error: unknown): boolean {
  if (!(error instanceof ApiError && error.cause instanceof StorageFailure)) return false
  const { status } = error.cause
  return status === null || status < 300 || status >= 500
}
