import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'

/** S3's limit for one PutObject: 5 GiB. */
export const MAX_PUT_BYTES = 5 * 1024 ** 3
/** S3's limit for one object: 5 TiB. */
export const MAX_OBJECT_BYTES = 5 * 1024 ** 4

/** The largest file that this bucket takes, where S3 takes `s3Max` bytes. */
export const largestFile = ({ maxBytes }: Bucket, s3Max: number): number =>
  Math.min(maxBytes ?? s3Max, s3Max)

/** Throws `file_too_large` for more bytes than that. */
export function requireBytes(bytes: number, bucket: Bucket, s3Max: number): void {
  const max = largestFile(bucket, s3Max)
  if (bytes > max)
    throw new ApiError('file_too_large', `A file may have at most ${max} bytes here.`)
}

/**
 * Throws `size_required` where the bucket has a limit and the client doesn't say the size, and
 * `file_too_large`.
 */
export function requireSize(size: number | undefined, bucket: Bucket, s3Max: number): void {
  if (size === undefined && bucket.maxBytes !== null)
    throw new ApiError(
      'size_required',
      'This bucket limits the size of a file: send size, in bytes.',
    )
  requireBytes(size ?? 0, bucket, s3Max)
}
