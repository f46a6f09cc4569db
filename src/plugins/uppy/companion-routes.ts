import type * as z from 'zod/mini'
import { requireScope } from '../../access/principal.ts'
import { MAX_OBJECT_BYTES, MAX_PUT_BYTES } from '../../bucket/limits.ts'
import { MAX_FILE_NAME_LENGTH } from '../../bucket/upload-fields.ts'
import { requireVacant } from '../../core/chosen-key.ts'
import { planUpload, startUpload } from '../../core/uploads.ts'
import { ApiError } from '../../errors/api-error.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { readBody } from '../../http/validate.ts'
import { objectUrl } from '../../signing/object-url.ts'
import type { MultipartSteps } from '../multipart/index.ts'
import { completeBody, startBody } from './bodies.ts'
import {
  badRequest,
  companionLifetime,
  DEFAULT_TYPE,
  namesOf,
  partsIn,
  queryKey,
  s3Metadata,
  s3Type,
} from './dialect.ts'
import { createPostForm, refusesForms } from './post-form.ts'
import { formUrl } from './s3-routes.ts'

const MAX_BODY_BYTES = 1024 ** 2
const MAX_BATCH = 100

/** The S3 routes of Uppy's Companion, for `@uppy/aws-s3` 2 to 6. They use the default bucket. */
export const companionRoutes = ({
  beginMultipart,
  dropMultipart,
  finishUpload,
  openUpload,
  signParts,
  uploadedParts,
}: MultipartSteps) =>
  newApp()
    .get('/s3/params', async (c) => {
      const principal = c.get('principal')
      requireScope(principal, 'files:upload')
      const { filename, type, objectKey, overwrite, ...query } = c.req.query()
      if (!filename)
        throw badRequest(
          's3: the "filename" query parameter is required and must be a non-empty string',
        )
      if (filename.length > MAX_FILE_NAME_LENGTH) throw badRequest(LONG_NAME)
      const metadata = s3Metadata(
        c,
        Object.fromEntries(
          Object.entries(query).flatMap(([name, value]) => {
            const inner = /^metadata\[(.*)\]$/s.exec(name)?.[1]
            return inner === undefined ? [] : [[inner, value]]
          }),
        ),
      )
      const bucket = await chooseOpenBucket(c, undefined, null)
      const mimetype = s3Type(type)
      const names = namesOf(filename, objectKey, flagOf(overwrite))
      const asked = { ...names, mimetype: mimetype ?? DEFAULT_TYPE, metadata, size: null }
      const ready = await planUpload(c, bucket, asked, MAX_PUT_BYTES)
      const form = await startUpload(c, ready, async ({ key, file, now }) => {
        await requireVacant(bucket, key, file.overwrite, refusesForms(bucket), now)
        const to = { bucket, ownUrl: formUrl(c) }
        return createPostForm(c.get('settings'), to, { ...file, mimetype, key }, principal, now)
      })
      const { url, fields, expiresIn: expires } = form
      return json(c, { method: 'POST', url, fields, expires })
    })
    .post('/s3/multipart', async (c) => {
      const principal = c.get('principal')
      requireScope(principal, 'files:upload')
      const body = startBody.safeParse(await readBody(c, MAX_BODY_BYTES))
      if (!body.success) throw badRequest(startError(body.error.issues[0]))
      const { filename, type, metadata, objectKey, overwrite } = body.data
      const bucket = await chooseOpenBucket(c, undefined, null)
      const asked = {
        ...namesOf(filename, objectKey, overwrite),
        mimetype: s3Type(type) ?? DEFAULT_TYPE,
        metadata: s3Metadata(c, metadata ?? {}),
        size: null,
        partSize: null,
      }
      const ready = await planUpload(c, bucket, asked, MAX_OBJECT_BYTES)
      const started = await startUpload(c, ready, ({ key, file, now }) =>
        beginMultipart(c.get('settings'), bucket, { key, owner: principal.id }, file, now),
      )
      return json(c, { key: started.key, uploadId: started.uploadId, bucket: bucket.name })
    })
    .get('/s3/multipart/:uploadId', async (c) => {
      const { bucket, upload, now } = await openUpload(c, undefined, queryKey(c))
      const parts = await uploadedParts(bucket, upload, now)
      return json(
        c,
        parts.map(({ partNumber, size, etag, lastModified }) => ({
          PartNumber: partNumber,
          Size: size,
          ETag: etag,
          LastModified: lastModified,
        })),
      )
    })
    .get('/s3/multipart/:uploadId/batch', async (c) => {
      const key = queryKey(c)
      const texts = c.req.query('partNumbers')?.split(',')
      if (texts === undefined)
        throw badRequest(
          's3: the part numbers must be passed as a comma separated query parameter. For example: "?partNumbers=4,6,7,21"',
        )
      if (texts.length > MAX_BATCH)
        throw badRequest(`s3: at most ${MAX_BATCH} part numbers are signed at once.`)
      const parts = partsIn(texts, 'numbers')
      const { bucket, upload, now } = await openUpload(c, undefined, key)
      const expiresIn = companionLifetime(bucket, now)
      const { urls } = await signParts(bucket, upload, parts, expiresIn, now)
      const presignedUrls = Object.fromEntries(urls.map(({ partNumber, url }) => [partNumber, url]))
      return json(c, { presignedUrls })
    })
    .get('/s3/multipart/:uploadId/:partNumber', async (c) => {
      const parts = partsIn([c.req.param('partNumber')], 'number')
      const { bucket, upload, now } = await openUpload(c, undefined, queryKey(c))
      const expires = companionLifetime(bucket, now)
      const { urls } = await signParts(bucket, upload, parts, expires, now)
      return json(c, { url: urls[0]?.url, expires })
    })
    .post('/s3/multipart/:uploadId/complete', async (c) => {
      const key = queryKey(c)
      const body = completeBody.safeParse(await readBody(c, MAX_BODY_BYTES))
      if (!body.success)
        throw badRequest('s3: `parts` must be an array of {ETag, PartNumber} objects.')
      const parts = body.data.parts.map((part) => ({
        partNumber: part.PartNumber,
        etag: part.ETag,
      }))
      const { bucket, upload } = await openUpload(c, undefined, key)
      await finishUpload(c, bucket, upload, parts, undefined)
      const location = objectUrl(bucket.publicAddress, upload.key).href
      return json(c, { location, key, bucket: bucket.name })
    })
    .delete('/s3/multipart/:uploadId', async (c) => {
      const { bucket, upload, now } = await openUpload(c, undefined, queryKey(c))
      await dropMultipart(bucket, upload, now)
      return json(c, {})
    })
    .get('/s3/sts', () => {
      throw new ApiError(
        'not_supported',
        'The bucket has no temporary credentials for clients. Remove "getTemporarySecurityCredentials".',
      )
    })

function flagOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  throw badRequest('s3: overwrite must be true or false')
}

const LONG_NAME = `s3: the file name may have at most ${MAX_FILE_NAME_LENGTH} characters.`

const startError = (issue: z.core.$ZodIssue | undefined): string => {
  const member = issue?.path[0]
  if (member === 'filename' && issue?.code === 'too_big') return LONG_NAME
  if (member === 'type') return 's3: content type must be a string'
  if (member === 'objectKey') return 's3: objectKey must be a string'
  if (member === 'overwrite') return 's3: overwrite must be true or false'
  if (issue?.code === 'custom') return `s3: ${issue.path.join('.')} ${issue.message}`
  if (member === 'metadata') return 's3: metadata must be an object'
  return 's3: the "filename" field is required and must be a non-empty string'
}
