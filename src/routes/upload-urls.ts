import * as z from 'zod/mini'
import { requireScope } from '../access/principal.ts'
import { sixAtOnce } from '../bucket/at-once.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { MAX_PUT_BYTES } from '../bucket/limits.ts'
import { asApiError } from '../errors/api-error.ts'
import type { AppContext } from '../http/app-env.ts'
import { chooseOpenBucket } from '../http/choose-bucket.ts'
import { timeOf } from '../http/deadline.ts'
import {
  bucket,
  chosenKey,
  expiresIn,
  fileName,
  itemError,
  MAX_FILES,
  MAX_KEYS_BODY_BYTES,
  oneName,
  sha256,
  storedWith,
} from '../http/fields.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { askApp, nameFile } from '../http/uploads.ts'
import { check, validateJson } from '../http/validate.ts'
import { keepExisting } from '../uploads/chosen-key.ts'
import { uploadSignature } from '../uploads/new-upload.ts'
import { createUploadUrl, type UploadRequest, type UploadUrl } from '../uploads/single.ts'

const upload = {
  fileName: z.optional(fileName),
  key: chosenKey,
  mimetype: z.string(),
  size: z.optional(z.int().check(z.minimum(0))),
  sha256,
  ...storedWith,
}

const uploadSchema = z.strictObject({ ...upload, expiresIn, bucket }).check(...oneName)

const oneOfUploads = z.strictObject(upload).check(...oneName)

const uploadsSchema = z.strictObject({
  files: z.array(oneOfUploads).check(z.minLength(1), z.maxLength(MAX_FILES)),
  expiresIn,
  bucket,
})

/** The same, with files that are not yet checked, since an invalid one doesn't affect the others. */
const uncheckedUploads = z.extend(uploadsSchema, {
  files: z
    .array(z.custom<z.input<typeof oneOfUploads>>())
    .check(z.minLength(1), z.maxLength(MAX_FILES)),
})

const validateUploads = Object.assign(validateJson(uncheckedUploads, MAX_KEYS_BODY_BYTES), {
  body: uploadsSchema, // for docs/openapi.json
})

/** What identifies a file for its client, as far as it is valid. */
const named = z.partial(z.object({ fileName: z.string(), key: z.string() }))

/** Upload URLs, for one file and for many. */
export const uploadUrlRoutes = newApp()
  .post('/files/upload-url', validateJson(uploadSchema), async (c) => {
    const { bucket: alias, ...request } = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    return json(c, await signUpload(c, bucket, request))
  })
  .post('/files/upload-urls', validateUploads, async (c) => {
    const { files, bucket: alias, expiresIn } = c.req.valid('json')
    requireScope(c.get('principal'), 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    uploadSignature(bucket, expiresIn, new Date()) // throws what would be the error of every file
    const uploads = await sixAtOnce(files, async (file) => {
      try {
        return await signUpload(c, bucket, { ...check(oneOfUploads, file), expiresIn })
      } catch (error) {
        return { ...named.safeParse(file).data, error: fileError(error) }
      }
    })
    return json(c, { uploads })
  })

/** Returns the error of one file, and what is wrong with its members. */
function fileError(error: unknown) {
  const { issues = [] } = asApiError(error) ?? {}
  return { ...itemError(error), ...(issues.length === 0 ? {} : { issues }) }
}

/** Asks the app about a file, and signs the URL for its upload. */
async function signUpload(
  c: AppContext,
  bucket: Bucket,
  request: z.output<typeof oneOfUploads> & Pick<UploadRequest, 'expiresIn'>,
): Promise<UploadUrl> {
  const file = await askApp(c, bucket, nameFile(c, bucket, request), MAX_PUT_BYTES)
  const now = timeOf(c)
  const kept = file.key === undefined ? file : await keepExisting(bucket, file, now)
  return createUploadUrl(bucket, kept, c.get('principal').prefix, now)
}
