import type { Bucket } from '../bucket/bucket.ts'
import type { UploadFields } from '../bucket/upload-fields.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { presignMany } from '../signing/presign-many.ts'
import { type PlannedUpload, uploadSignature } from './new-upload.ts'
import { uploadHeaders } from './signed-headers.ts'

/** `size` is signed as Content-Length, if it is given. `keepExisting` has checked a chosen key. */
export interface UploadRequest extends UploadFields, Pick<PlannedUpload, 'seed'> {
  /** Lifetime in seconds. Default: the bucket's default. */
  readonly expiresIn?: number | undefined
}

export interface UploadUrl {
  readonly uploadUrl: string
  readonly key: ObjectKey
  /** Alias of the bucket. */
  readonly bucket: string
  readonly method: 'PUT'
  /** The headers that the client must send. A browser adds its own. */
  readonly headers: Readonly<Record<string, string>>
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Returns a signed PUT. Throws what `uploadSignature` and `uploadHeaders` throw. */
export function createUploadUrl(
  bucket: Bucket,
  key: ObjectKey,
  request: UploadRequest,
  now: Date,
): Promise<UploadUrl> {
  const { size } = request
  const { signing, expiresIn, expiresAt } = uploadSignature(bucket, request.expiresIn, now)
  const headers = uploadHeaders(bucket, request)
  const presignKey = presignMany({
    ...signing,
    method: 'PUT',
    headers: size === undefined ? headers : { ...headers, 'Content-Length': String(size) },
  })
  return presignKey(key).then((uploadUrl) => ({
    ...{ uploadUrl, key, bucket: bucket.alias, method: 'PUT' as const },
    ...{ headers, expiresIn, expiresAt },
  }))
}
