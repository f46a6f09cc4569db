import type { Bucket } from '../bucket/bucket.ts'
import { newObjectKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { resolveValidity } from '../signing/expiry.ts'
import { stampFor } from '../signing/stamp.ts'
import { requireContentType } from './content-type.ts'
import { type UploadConditions, uploadHeaders } from './signed-headers.ts'
import { MAX_PUT_BYTES, requireSize } from './size-limit.ts'

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
  const { fileName, directory, size, expiresIn } = request
  const credentials = bucket.uploadCredentials
  const key = newObjectKey({ fileName, prefix, directory, now })
  requireContentType(request.mimetype, key, bucket)
  requireSize(size, bucket, MAX_PUT_BYTES)

  const validity = resolveValidity({ use: 'upload', expiresIn, bucket, credentials, now })
  const headers = uploadHeaders(request)
  const stamp = stampFor({
    bucket,
    credentials,
    method: 'PUT',
    headers: size === undefined ? headers : { ...headers, 'Content-Length': String(size) },
    signedAt: validity.signedAt,
    signedSeconds: validity.signedSeconds,
  })
  return {
    uploadUrl: await stamp(key),
    key,
    bucket: bucket.alias,
    method: 'PUT',
    headers,
    expiresIn: validity.expiresInSeconds,
    expiresAt: validity.expiresAt.toISOString(),
  }
}
