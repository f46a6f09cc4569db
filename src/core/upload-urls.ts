import * as z from 'zod/mini'
import { requireScope } from '../access/principal.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { MAX_PUT_BYTES } from '../bucket/limits.ts'
import type { AppContext } from '../http/app-env.ts'
import { chooseOpenBucket } from '../http/choose-bucket.ts'
import {
  bucket,
  expiresIn,
  ifMatch,
  MAX_FILES,
  namedFile,
  oneName,
  sha256,
  storedWith,
} from '../http/fields.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { forEachFile, validateFiles, validateJson } from '../http/validate.ts'
import { keepExisting } from './chosen-key.ts'
import { type Naming, uploadSignature } from './new-upload.ts'
import { createUploadUrl, type UploadRequest, type UploadUrl } from './single.ts'
import { startUpload } from './uploads.ts'

const upload = {
  ...namedFile,
  size: z.optional(z.int().check(z.minimum(0))),
  sha256,
  ...storedWith,
  ifMatch,
}

const uploadSchema = z.strictObject({ ...upload, expiresIn, bucket }).check(...oneName)

const oneOfUploads = z.strictObject(upload).check(...oneName)

const validateUploads = validateFiles(oneOfUploads, MAX_FILES, { expiresIn, bucket })

/** Upload URLs, for one file and for many. */
export const uploadUrlRoutes = newApp()
  .post('/files/upload-url', validateJson(uploadSchema), async (c) => {
    const request = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const opened = chooseOpenBucket(c, request.bucket, null)
    const bucket = opened instanceof Promise ? await opened : opened
    return json(c, await signUpload(c, bucket, request))
  })
  .post('/files/upload-urls', validateUploads, async (c) => {
    const { files, bucket: alias, expiresIn } = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    const start = Date.now()
    uploadSignature(bucket, expiresIn, new Date(start)) // throws what would be the error of every file
    // A millisecond apart, so that their keys keep the order of the list.
    const uploads = await forEachFile(oneOfUploads, files, (file, index) =>
      signUpload(c, bucket, { ...file, expiresIn, seed: { now: new Date(start + index) } }),
    )
    return json(c, { uploads })
  })

/** Tells whether the bucket itself can keep an upload from being repeated under its URL. */
const isOnce = (c: AppContext, { conditionalPut }: Bucket): boolean =>
  conditionalPut && c.get('writeOnce') !== undefined

/** Starts an upload in one request: signs its URL. */
export const signUpload = (
  c: AppContext,
  bucket: Bucket,
  request: Naming & Omit<UploadRequest, keyof Naming>,
): Promise<UploadUrl> =>
  startUpload(c, bucket, request, MAX_PUT_BYTES, (key, file, now) =>
    file.key === undefined
      ? createUploadUrl(bucket, key, isOnce(c, bucket) ? { ...file, overwrite: false } : file, now)
      : keepExisting(bucket, file, now).then((kept) => createUploadUrl(bucket, key, kept, now)),
  )
