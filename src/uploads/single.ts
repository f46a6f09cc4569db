import type { Bucket } from '../bucket/bucket.ts'
import { MAX_PUT_BYTES } from '../bucket/limits.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { presignMany } from '../signing/presign-many.ts'
import { newUpload, uploadSignature } from './new-upload.ts'
import { type UploadConditions, uploadHeaders } from './signed-headers.ts'

export interface UploadRequest extends UploadConditions {
  readonly fileName: string
  /** Bytes; signed as Content-Length where given. */
  readonly size?: number | undefined
  readonly directory?: string | undefined
  /** Seconds; undefined takes the default. */
  readonly expiresIn?: number | undefined
}

export interface UploadUrl {
  readonly uploadUrl: string
  readonly key: ObjectKey
  /** Alias of the bucket. */
  readonly bucket: string
  readonly method: 'PUT'
  /** What the client must send, without what a browser sets by itself. */
  readonly headers: Readonly<Record<string, string>>
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/**
 * A presigned PUT for a new key under `prefix` (empty, or ending with `/`). Throws ApiError for a
 * file that this bucket doesn't take.
 */
export async function createUploadUrl(
  bucket: Bucket,
  request: UploadRequest,
  prefix: string,
  now: Date,
): Promise<UploadUrl> {
  const { size } = request
  const key = newUpload(bucket, { ...request, size }, prefix, MAX_PUT_BYTES, now)
  const { signing, expiresIn, expiresAt } = uploadSignature(bucket, request.expiresIn, now)
  const headers = uploadHeaders(request)
  const presignKey = presignMany({
    ...signing,
    method: 'PUT',
    headers: size === undefined ? headers : { ...headers, 'Content-Length': String(size) },
  })
  return {
    uploadUrl: await presignKey(key),
    key,
    bucket: bucket.alias,
    method: 'PUT',
    headers,
    expiresIn,
    expiresAt,
  }
}
