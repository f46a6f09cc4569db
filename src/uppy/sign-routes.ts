import * as z from 'zod/mini'
import { requireKey, requireScope } from '../access/principal.ts'
import { MAX_OBJECT_BYTES, MAX_PUT_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { json } from '../http/answers.ts'
import { chooseBucket } from '../http/choose-bucket.ts'
import {
  bucket,
  cacheControl,
  directory,
  expiresIn,
  fileName,
  metadata,
  partNumber,
  sha256,
} from '../http/fields.ts'
import { newApp } from '../http/new-app.ts'
import { askApp } from '../http/uploads.ts'
import { validateJson } from '../http/validate.ts'
import { isNewObjectKey } from '../keys/new-key.ts'
import { parseObjectKey } from '../keys/object-key.ts'
import { createUploadUrl } from '../uploads/single.ts'
import { badRequest, DEFAULT_TYPE } from './dialect.ts'
import { presignCreate, presignOperation, type UploadOperation } from './s3-operation.ts'

/**
 * The request of Uppy's `signRequest`, with the members that the client of this project adds. Later
 * versions may add more.
 */
const signSchema = z.object({
  method: z.enum(['PUT', 'POST', 'GET', 'DELETE']),
  key: fileName,
  uploadId: z.optional(z.string().check(z.minLength(1), z.maxLength(2048))),
  partNumber: z.optional(partNumber),
  contentType: z._default(z.string(), DEFAULT_TYPE),
  expiresIn,
  fileName: z.optional(fileName),
  size: z.optional(z.int().check(z.minimum(0))),
  sha256,
  metadata,
  cacheControl,
  directory,
  bucket,
})

type SignRequest = z.infer<typeof signSchema>

/**
 * `signRequest` of `@uppy/aws-s3` 6. The client calls S3 itself, and requests one signature at a
 * time.
 */
export const signRoutes = newApp().post('/s3/sign', validateJson(signSchema), async (c) => {
  const request = c.req.valid('json')
  const { method, key, uploadId, contentType: mimetype, expiresIn } = request
  const principal = c.get('principal')
  const now = new Date()
  requireScope(principal, 'files:upload')
  const bucket = chooseBucket(c, request.bucket, uploadId === undefined ? null : key)
  if (uploadId === undefined) {
    const { fileName = key, metadata, cacheControl, directory, size, sha256 } = request
    if (method !== 'POST' && method !== 'PUT')
      throw badRequest('Only uploads are signed here. To delete a file, send DELETE /files/:key.')
    const asked = { fileName, mimetype, metadata, cacheControl, directory }
    if (method === 'POST') {
      // The size is optional, since nothing could enforce it for this upload.
      const file = await askApp(c, bucket, { ...asked, size: size ?? null }, MAX_OBJECT_BYTES)
      return json(c, await presignCreate(bucket, file, principal.prefix, expiresIn, now))
    }
    const file = await askApp(c, bucket, { ...asked, size }, MAX_PUT_BYTES)
    const upload = { ...file, sha256, expiresIn }
    const signed = await createUploadUrl(bucket, upload, principal.prefix, now)
    return json(c, { url: signed.uploadUrl, key: signed.key, headers: signed.headers })
  }
  const objectKey = parseObjectKey(key)
  requireKey(principal, 'files:upload', objectKey)
  if (!isNewObjectKey(objectKey))
    throw new ApiError('forbidden', 'An upload in parts needs a key that this API created.')
  const operation = uploadOperation(request, uploadId)
  return json(c, await presignOperation(bucket, objectKey, operation, expiresIn, now))
})

function uploadOperation({ method, partNumber }: SignRequest, s3UploadId: string): UploadOperation {
  if (method === 'GET') return { name: 'ListParts', s3UploadId }
  if (method === 'POST') return { name: 'CompleteMultipartUpload', s3UploadId }
  if (method === 'DELETE') return { name: 'AbortMultipartUpload', s3UploadId }
  if (partNumber === undefined) throw badRequest('A part needs its partNumber.')
  return { name: 'UploadPart', s3UploadId, partNumber }
}
