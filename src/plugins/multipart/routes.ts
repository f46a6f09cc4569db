import * as z from 'zod/mini'
import { keySeed, START_ID } from '../../access/key-seed.ts'
import { requireScope } from '../../access/principal.ts'
import {
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MAX_PARTS_BODY_BYTES,
  MIN_PART_BYTES,
} from '../../bucket/limits.ts'
import { recordBody } from '../../core/announce.ts'
import { largestFile } from '../../core/size-limit.ts'
import { planUpload, startUpload } from '../../core/uploads.ts'
import { invalidMember } from '../../errors/api-error.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { timeOf } from '../../http/deadline.ts'
import {
  bucket,
  expiresIn,
  fileName,
  ifMatch,
  namedFile,
  oneName,
  overwriteOfKey,
  partNumber,
  storedWith,
} from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { created, json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { beginMultipart, dropMultipart, planParts, signParts, uploadedParts } from './begin.ts'
import { finishUpload, openUpload } from './finish.ts'

const startSchema = z
  .strictObject({
    ...namedFile,
    size: z.optional(z.int().check(z.minimum(1))),
    partSize: z.optional(z.int().check(z.minimum(MIN_PART_BYTES), z.maximum(MAX_PART_BYTES))),
    startId: z.optional(
      z.string().check(z.regex(START_ID, 'must be milliseconds, "-" and 16 to 64 characters')),
    ),
    ...storedWith,
    bucket,
  })
  .check(...oneName, overwriteOfKey())

const urlsSchema = z
  .strictObject({
    key: z.string(),
    partNumbers: z.array(partNumber()).check(z.minLength(1), z.maxLength(100)),
    sizes: z.optional(z.array(z.int().check(z.minimum(0), z.maximum(MAX_PART_BYTES)))),
    expiresIn,
    bucket,
  })
  .check(
    z.refine(({ partNumbers, sizes = partNumbers }) => sizes.length === partNumbers.length, {
      path: ['sizes'],
      error: 'must have one size for each of partNumbers',
    }),
  )

const uploadSchema = z.strictObject({ key: z.string(), bucket })

const completeSchema = z.strictObject({
  key: z.string(),
  name: z.optional(fileName),
  parts: z
    .array(
      z.strictObject({
        partNumber: partNumber(),
        etag: z.string().check(z.minLength(1), z.maxLength(255)),
      }),
    )
    .check(z.minLength(1), z.maxLength(MAX_PARTS)),
  ifMatch,
  bucket,
})

/** Uploads in parts: S3's multipart upload. Its id is bound to bucket, key and principal. */
export const multipartRoutes = newApp()
  .post('/multipart', validateJson(startSchema), async (c) => {
    const { bucket: alias, partSize, ...request } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:upload')
    const bucket = await chooseOpenBucket(c, alias, null)
    const { began } = c.get('writeOnce') ?? {}
    if (began !== undefined && partSize !== undefined)
      throw invalidMember('partSize', 'is not for this token')
    const size = request.size ?? null
    const plan = planParts(size, partSize, largestFile(bucket, MAX_OBJECT_BYTES))
    const { startId } = request
    const [settings, owner] = [c.get('settings'), principal.id]
    const scope = { bucket: bucket.alias, owner }
    const seed =
      startId === undefined ? undefined : await keySeed(settings, scope, startId, timeOf(c))
    const asked = { ...request, size, seed, partSize: plan.partSize }
    const ready = await planUpload(c, bucket, asked, MAX_OBJECT_BYTES)
    const upload = await startUpload(c, ready, ({ key, file, now }) =>
      beginMultipart(settings, bucket, { key, owner, began }, file, now),
    )
    const { key, uploadId, expiresAt } = upload
    return json(c, { key, bucket: bucket.alias, uploadId, ...plan, expiresAt })
  })
  .post('/multipart/:uploadId/urls', validateJson(urlsSchema), async (c) => {
    const { key, partNumbers, sizes, expiresIn, bucket: alias } = c.req.valid('json')
    const { bucket, upload, now } = await openUpload(c, alias, key)
    const parts = partNumbers.map((partNumber, i) => ({ partNumber, size: sizes?.[i] }))
    return json(c, await signParts(bucket, upload, parts, expiresIn, now))
  })
  .get('/multipart/:uploadId', validateQuery(uploadSchema), async (c) => {
    const { key, bucket: alias } = c.req.valid('query')
    const { bucket, upload, now } = await openUpload(c, alias, key)
    const listed = await uploadedParts(bucket, upload, now)
    const parts = listed.map(({ partNumber, size, etag }) => ({ partNumber, size, etag }))
    return json(c, { parts })
  })
  .post(
    '/multipart/:uploadId/complete',
    validateJson(completeSchema, MAX_PARTS_BODY_BYTES),
    async (c) => {
      const { key, name, parts, ifMatch, bucket: alias } = c.req.valid('json')
      const { bucket, upload } = await openUpload(c, alias, key)
      const ended = { ...upload, ifMatch }
      return created(c, recordBody(await finishUpload(c, bucket, ended, parts, name)))
    },
  )
  .delete('/multipart/:uploadId', validateQuery(uploadSchema), async (c) => {
    const { key, bucket: alias } = c.req.valid('query')
    const { bucket, upload, now } = await openUpload(c, alias, key)
    await dropMultipart(bucket, upload, now)
    return c.body(null, 204)
  })
