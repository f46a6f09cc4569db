import { NO_LIMITS, narrowBucket } from '../access/limits.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'

/** Returns the maximum file size of this bucket. S3's own limit is `s3Max` bytes. */
export const largestFile = ({ maxBytes }: Pick<Bucket, 'maxBytes'>, s3Max: number): number =>
  Math.min(maxBytes ?? s3Max, s3Max)

/** Throws `file_too_large` for more bytes than the maximum. */
export function requireBytes(bytes: number, bucket: Pick<Bucket, 'maxBytes'>, s3Max: number): void {
  const max = largestFile(bucket, s3Max)
  if (bytes > max)
    throw new ApiError('file_too_large', `A file may have at most ${max} bytes here.`)
}

/** Throws `size_required` if there is a limit, since the client must then state `what`. */
export function requireStatedSize({ maxBytes }: Bucket, what = 'size'): void {
  if (maxBytes === null) return
  throw new ApiError('size_required', `The size of a file is limited here. Send ${what}, in bytes.`)
}

/** Returns `bucket` with the limit from the start of an upload in parts, which may be a token's. */
export const withLimitOf = (
  { maxBytes }: { readonly maxBytes?: number | undefined },
  bucket: Bucket,
): Bucket => narrowBucket(bucket, { ...NO_LIMITS, maxBytes: maxBytes ?? null })
