import type { Bucket } from '../bucket/bucket.ts'
import { MAX_OBJECT_BYTES, MAX_UPLOAD_AGE_SECONDS } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { keyCreatedAt } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { type PresignInput, presign } from '../signing/presign.ts'
import { completeHeaders } from '../storage/multipart.ts'
import type { MultipartRequest } from '../uploads/multipart.ts'
import { newUpload, uploadSignature } from '../uploads/new-upload.ts'
import { uploadHeaders } from '../uploads/signed-headers.ts'

/** One request of a client that calls S3's multipart operations itself. */
export type UploadOperation =
  | { readonly name: 'UploadPart'; readonly s3UploadId: string; readonly partNumber: number }
  | {
      readonly name: 'ListParts' | 'CompleteMultipartUpload' | 'AbortMultipartUpload'
      readonly s3UploadId: string
    }

const METHODS = {
  UploadPart: 'PUT',
  ListParts: 'GET',
  CompleteMultipartUpload: 'POST',
  AbortMultipartUpload: 'DELETE',
} as const

/**
 * Presigns S3 CreateMultipartUpload for a new key under `prefix`. The client must send `headers`.
 * Throws ApiError for a file that this bucket doesn't accept.
 */
export async function presignCreate(
  bucket: Bucket,
  file: Omit<MultipartRequest, 'size'>,
  prefix: string,
  expiresIn: number | undefined,
  now: Date,
): Promise<{ url: string; key: ObjectKey; headers: Readonly<Record<string, string>> }> {
  refuseIfLimited(bucket)
  const key = newUpload(bucket, { ...file, size: null }, prefix, MAX_OBJECT_BYTES, now)
  const headers = uploadHeaders(file)
  const request = { method: 'POST', key, query: { uploads: '' }, headers } as const
  return { url: await presignUpload(bucket, request, expiresIn, now), key, headers }
}

/**
 * Presigns one step of such an upload. The client must send `headers`, if any. Throws
 * `upload_not_found` for parts of an upload that is too old, `size_required`, `invalid_expiry` and
 * `credentials_expired`.
 */
export async function presignOperation(
  bucket: Bucket,
  key: ObjectKey,
  operation: UploadOperation,
  expiresIn: number | undefined,
  now: Date,
): Promise<{ url: string; key: ObjectKey; headers?: Readonly<Record<string, string>> }> {
  const { name, s3UploadId } = operation
  if (name === 'UploadPart' || name === 'CompleteMultipartUpload') {
    refuseIfLimited(bucket)
    refuseIfOld(key, now)
  }
  const part = name === 'UploadPart' ? { partNumber: String(operation.partNumber) } : {}
  const query = { ...part, uploadId: s3UploadId }
  const headers = name === 'CompleteMultipartUpload' ? completeHeaders(bucket) : {}
  const url = await presignUpload(
    bucket,
    { method: METHODS[name], key, query, headers },
    expiresIn,
    now,
  )
  return { url, key, ...(Object.keys(headers).length === 0 ? {} : { headers }) }
}

async function presignUpload(
  bucket: Bucket,
  request: Pick<PresignInput, 'method' | 'key' | 'query' | 'headers'>,
  expiresIn: number | undefined,
  now: Date,
): Promise<string> {
  return presign({ ...request, ...uploadSignature(bucket, expiresIn, now).signing })
}

/**
 * Throws for a bucket with a size limit. The bucket completes such an upload without the Worker, so
 * the limit would not be checked.
 */
function refuseIfLimited({ maxBytes }: Bucket): void {
  if (maxBytes === null) return
  throw new ApiError(
    'size_required',
    'This bucket limits the size of a file. Upload its parts through /multipart, or with "companionEndpoint" in Uppy.',
  )
}

/**
 * Throws for an old upload. A bucket may accept parts for longer, but browsers then cache the
 * object as immutable.
 */
function refuseIfOld(key: ObjectKey, now: Date): void {
  if (now.getTime() <= keyCreatedAt(key) + MAX_UPLOAD_AGE_SECONDS * 1000) return
  throw new ApiError('upload_not_found', 'This upload is more than seven days old. Start it again.')
}
