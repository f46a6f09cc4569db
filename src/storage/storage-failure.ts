import { ApiError } from '../errors/api-error.ts'

/** Why a request to a bucket failed, for the log. Has no key, no URL, and no text of the bucket. */
export class StorageFailure extends Error {
  override readonly name = 'StorageFailure'
  readonly operation: string
  /** Null without a response. */
  readonly status: number | null
  /** S3's own code, such as `AccessDenied`, or null if the response has none. */
  readonly s3Code: string | null

  constructor(operation: string, status: number | null, s3Code: string | null, cause?: unknown) {
    super([operation, status ?? 'no response', s3Code ?? []].flat().join(' '), { cause })
    this.operation = operation
    this.status = status
    this.s3Code = s3Code
  }
}

/** Tells whether the bucket may have acted despite `error`: not after a redirect or a refusal. */
export function mayHaveHappened(error: unknown): boolean {
  if (!(error instanceof ApiError && error.cause instanceof StorageFailure)) return false
  const { status } = error.cause
  return status === null || status < 300 || status >= 500
}
