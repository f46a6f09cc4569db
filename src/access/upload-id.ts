import * as z from 'zod/mini'
import { MAX_UPLOAD_AGE_SECONDS } from '../config/limits.ts'
import type { Config } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { seal, unseal } from './seal.ts'

const claimsSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  owner: z.string(),
  s3UploadId: z.string().check(z.minLength(1)),
  name: z.string(),
  size: z.nullable(z.int()),
  partSize: z.nullable(z.int()),
})

/** Whose upload it is. */
export interface UploadScope {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: ObjectKey
  /** Id of the principal. */
  readonly owner: string
}

/** What an upload id carries. */
export interface UploadClaims extends UploadScope {
  /** S3's own `UploadId`. */
  readonly s3UploadId: string
  /** File name. */
  readonly name: string
  /** Bytes of the file; null where the client didn't say. */
  readonly size: number | null
  /** Bytes of each part but the last; null where the client cuts the parts. */
  readonly partSize: number | null
}

/** An upload id as clients get it, bound to bucket, key and principal, and when it ends. */
export async function sealUploadId(
  { signingSecrets }: Config,
  claims: UploadClaims,
  now: Date,
): Promise<{ readonly uploadId: string; readonly expiresAt: Date }> {
  const exp = Math.floor(now.getTime() / 1000) + MAX_UPLOAD_AGE_SECONDS
  const uploadId = await seal(signingSecrets, 'upload', { ...claims, exp })
  return { uploadId, expiresAt: new Date(exp * 1000) }
}

/**
 * What `uploadId` carries. Throws `invalid_upload_id` where it is of another bucket, key or
 * principal, has ended, or is none of ours: one error for all, as a caller may know nothing of the
 * uploads of others.
 */
export async function openUploadId(
  { signingSecrets }: Config,
  scope: UploadScope,
  uploadId: string,
  now: Date,
): Promise<UploadClaims> {
  const parsed = claimsSchema.safeParse(await unseal(signingSecrets, 'upload', uploadId, now))
  if (
    !parsed.success ||
    parsed.data.bucket !== scope.bucket ||
    parsed.data.key !== scope.key ||
    parsed.data.owner !== scope.owner
  )
    throw new ApiError('invalid_upload_id', 'This upload id is of another upload, or has ended.')
  return { ...parsed.data, key: scope.key }
}
