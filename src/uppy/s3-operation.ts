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

/** One request of a client that speaks S3's multipart operations itself. */
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
 * S3 CreateMultipartUpload for a new key under `prefix`, presigned: the client must send `headers`.
 * Throws ApiError for a file that this bucket doesn't take.
 */
export async function presignCreate(
  bucket: Bucket,
  file: Omit<MultipartRequest, 'size'>,
  prefix: string,
  expiresIn: number | undefined,
  now: Date,
): Promise<{ url: string; key: ObjectKey; headers: Readonly<Record<string, string>> }> {
  refuseWhereLimited(bucket)
  const key = newUpload(bucket, { ...file, size: null }, prefix, MAX_OBJECT_BYTES, now)
  const headers = uploadHeaders(file)
  const request = { method: 'POST', key, query: { uploads: '' }, headers } as const
  return { url: await presignUpload(bucket, request, expiresIn, now), key, headers }
}

/**
 * One step of an upload that was begun so, presigned: the client must send `headers`, if there are
 * any. Throws `upload_not_found` for parts of an upload that is too old, `size_required`,
 * `invalid_expiry` and `credentials_expired`.
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
    refuseWhereLimited(bucket)
    refuseWhereOld(key, now)
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

/** The bucket completes such an upload without asking us, so nothing would hold it to a size. */
function refuseWhereLimited({ maxBytes }: Bucket): void {
  if (maxBytes === null) return
  throw new ApiError(
    'size_required',
    'This bucket limits the size of a file. Upload its parts through /multipart, or with "companionEndpoint" in Uppy.',
  )
}

/** A bucket may take parts for longer, but browsers then believe that the object can't change. */
function refuseWhereOld(key: ObjectKey, now: Date): void {
  if (now.getTime() <= keyCreatedAt(key) + MAX_UPLOAD_AGE_SECONDS * 1000) return
  throw new ApiError(
    'upload_not_found',
    'This upload began more than seven days ago. Start it again.',
  )
}
