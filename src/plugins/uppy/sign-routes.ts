import * as z from 'zod/mini'
import { contextOf, requireScope } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_OBJECT_BYTES } from '../../bucket/limits.ts'
import { byObjectHeader } from '../../bucket/upload-fields.ts'
import { uploadHeaders } from '../../core/signed-headers.ts'
import { uploadSignature } from '../../core/upload-url.ts'
import { planUpload, signUpload, startUpload } from '../../core/uploads.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import {
  bucket,
  expiresIn,
  fileName,
  namedFile,
  partNumber,
  sha256,
  storedWith,
  usually,
} from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson } from '../../http/validate.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { presign } from '../../signing/presign.ts'
import type { MultipartSteps } from '../multipart/index.ts'
import { badRequest, DEFAULT_TYPE, namesOf } from './dialect.ts'
import { stepUrl } from './s3-routes.ts'

/** Each use of a URL that starts an upload starts another one. The client uses it at once. */
const MAX_START_SECONDS = 300

/** Uppy's `signRequest`, with members of this project's client. Later versions may add more. */
const signSchema = z.object({
  method: z.enum(['PUT', 'POST', 'GET', 'DELETE']),
  key: fileName,
  uploadId: z.optional(z.string().check(z.minLength(1), z.maxLength(4096))),
  partNumber: z.optional(partNumber()),
  contentType: usually(z.string(), DEFAULT_TYPE),
  expiresIn,
  fileName: z.optional(fileName),
  size: z.optional(z.int().check(z.minimum(0))),
  sha256,
  ...storedWith,
  objectKey: namedFile.key,
  bucket,
})

type SignRequest = z.infer<typeof signSchema>

/** `signRequest` of `@uppy/aws-s3` 6, which calls S3 itself, with one signature each. */
export const signRoutes = ({ openUpload, signParts }: MultipartSteps) =>
  newApp().post('/s3/sign', validateJson(signSchema), async (c) => {
    const request = c.req.valid('json')
    const { method, key, uploadId, contentType: mimetype, expiresIn, objectKey } = request
    const principal = c.get('principal')
    requireScope(principal, 'files:upload')
    const bucket = await chooseOpenBucket(c, request.bucket, uploadId === undefined ? null : key)
    if (uploadId === undefined) {
      const { fileName = key, overwrite, directory, metadata, size, sha256 } = request
      if (method !== 'POST' && method !== 'PUT')
        throw badRequest('Only uploads are signed here. To delete a file, send DELETE /files/:key.')
      if (objectKey !== undefined && directory !== undefined)
        throw badRequest("directory can't be combined with objectKey. Remove it.")
      const headers = byObjectHeader(([field]) => request[field])
      const names = namesOf(fileName, objectKey, overwrite)
      const asked = { ...names, mimetype, directory, metadata, ...headers }
      if (method === 'POST') {
        // The size is optional here. The bucket's limit is checked when the upload is complete.
        const sized = { ...asked, size: size ?? null }
        const ready = await planUpload(c, bucket, sized, MAX_OBJECT_BYTES)
        const signed = await startUpload(c, ready, async ({ key, file, now }) => {
          uploadHeaders(bucket, file) // throws for too much metadata now, instead of when the upload starts
          const step = { ...stepOf(bucket, principal.id, key), file: fileOf(file) }
          const seconds = uploadSignature(bucket, expiresIn, now).expiresIn
          return { url: await stepUrl(c, step, Math.min(seconds, MAX_START_SECONDS), now), key }
        })
        return json(c, signed)
      }
      const signed = await signUpload(c, bucket, { ...asked, size, sha256, expiresIn })
      return json(c, { url: signed.uploadUrl, key: signed.key, headers: signed.headers })
    }
    const opened = await openUpload(c, request.bucket, key, uploadId)
    const url = await operationUrl(c, opened, { ...request, uploadId }, signParts)
    return json(c, { url, key: opened.upload.key })
  })

/** Returns the URL of one S3 operation on an upload in parts. Throws `invalid_request`. */
async function operationUrl(
  c: AppContext,
  { bucket, upload, now }: Awaited<ReturnType<MultipartSteps['openUpload']>>,
  { method, uploadId, partNumber, size, expiresIn }: SignRequest & { readonly uploadId: string },
  signParts: MultipartSteps['signParts'],
): Promise<string> {
  const { signing, expiresIn: seconds } = uploadSignature(bucket, expiresIn, now)
  const { owner, key, s3UploadId } = upload
  if (method === 'POST') {
    const step = { ...stepOf(bucket, owner, key), uploadId, ...contextOf(c.get('principal')) }
    return stepUrl(c, step, seconds, now)
  }
  // ListParts and AbortMultipartUpload.
  if (method !== 'PUT') return presign({ ...signing, method, key, query: { uploadId: s3UploadId } })
  if (partNumber === undefined) throw badRequest('A part needs its partNumber.')
  const { urls } = await signParts(bucket, upload, [{ partNumber, size }], expiresIn, now)
  return urls[0]?.url ?? ''
}

/** The members of every step. Its limit is the principal's when it was signed. */
const stepOf = ({ alias, maxBytes }: Bucket, owner: string, key: ObjectKey) => ({
  bucket: alias,
  owner,
  key,
  maxBytes: maxBytes ?? undefined,
})

const fileOf = <File extends { directory?: unknown; key?: unknown }>({
  directory,
  key,
  ...file
}: File) => file
