import * as z from 'zod/mini'
import { openCursor, sealCursor } from '../access/cursor.ts'
import { requireKey, requirePrefix, requireScope } from '../access/principal.ts'
import { MAX_KEYS, MAX_PUT_BYTES } from '../bucket/limits.ts'
import {
  type DownloadSigner,
  downloadSigner,
  downloadUrl,
  MAX_DOWNLOAD_NAME_LENGTH,
} from '../delivery/download-url.ts'
import { ApiError } from '../errors/api-error.ts'
import type { FileRecord } from '../file-index/file-record.ts'
import { chooseBucket } from '../http/choose-bucket.ts'
import {
  bucket,
  cacheControl,
  chosenKey,
  digits,
  directory,
  expiresIn,
  fileName,
  forEachKey,
  keyList,
  MAX_KEYS_BODY_BYTES,
  metadata,
  oneName,
  overwrite,
  sha256,
} from '../http/fields.ts'
import { newApp } from '../http/new-app.ts'
import { addWarning } from '../http/request-log.ts'
import { created, json } from '../http/responses.ts'
import { askApp, nameFile, purgeReplaced, tellDeleted, tellRecorded } from '../http/uploads.ts'
import { keyParam, validateJson, validateQuery } from '../http/validate.ts'
import { lastSegment } from '../keys/file-name.ts'
import { isNewObjectKey } from '../keys/new-key.ts'
import { type ObjectKey, parseKeyStart, parseObjectKey } from '../keys/object-key.ts'
import { deleteObject } from '../storage/object.ts'
import { mayHaveHappened } from '../storage/storage-failure.ts'
import { requireVacant } from '../uploads/chosen-key.ts'
import { findFile, recordUpload } from '../uploads/record.ts'
import { createUploadUrl } from '../uploads/single.ts'

const flag = z.pipe(
  z._default(z.enum(['true', 'false']), 'false'),
  z.transform((value) => value === 'true'),
)
const uploadSchema = z
  .strictObject({
    fileName: z.optional(fileName),
    key: chosenKey,
    mimetype: z.string(),
    size: z.optional(z.int().check(z.minimum(0))),
    sha256,
    metadata,
    cacheControl,
    directory,
    overwrite,
    expiresIn,
    bucket,
  })
  .check(...oneName)

const use = z.enum(['view', 'stream', 'email'])

const urlSchema = z.strictObject({
  use: z._default(use, 'view'),
  expiresIn: z.optional(digits),
  download: z.optional(z.string().check(z.minLength(1), z.maxLength(MAX_DOWNLOAD_NAME_LENGTH))),
  inline: flag,
  stable: flag,
  bucket,
})

const urlsSchema = z.strictObject({
  keys: keyList,
  use: z._default(use, 'view'),
  expiresIn,
  bucket,
})

const recordSchema = z.strictObject({ key: z.string(), name: z.optional(fileName), bucket })

const listSchema = z.strictObject({
  prefix: z.optional(z.string()),
  limit: z._default(z.pipe(digits, z.int().check(z.minimum(1), z.maximum(MAX_KEYS))), 100),
  cursor: z.optional(z.string()),
  urls: z.optional(use),
  bucket,
})

const bucketSchema = z.strictObject({ bucket })

/** Upload and download URLs, and the index of what was uploaded. */
export const fileRoutes = newApp()
  .post('/files/upload-url', validateJson(uploadSchema), async (c) => {
    const { bucket: alias, ...request } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:upload')
    const bucket = chooseBucket(c, alias, request.key ?? null)
    const file = await askApp(c, bucket, nameFile(c, request), MAX_PUT_BYTES)
    const now = new Date()
    if (file.key !== undefined)
      await requireVacant(bucket, file.key, file.overwrite, bucket.conditionalPut, now)
    return json(c, await createUploadUrl(bucket, file, principal.prefix, now))
  })
  .get('/files/:key/url', validateQuery(urlSchema), async (c) => {
    const { bucket: alias, ...request } = c.req.valid('query')
    const key = keyParam(c)
    requireKey(c.get('principal'), 'files:read', key)
    const bucket = chooseBucket(c, alias, key)
    return json(c, await downloadUrl(bucket, key, request, new Date()))
  })
  .post('/files/urls', validateJson(urlsSchema, MAX_KEYS_BODY_BYTES), async (c) => {
    const { keys, bucket: alias, ...request } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:read')
    const bucket = chooseBucket(c, alias, null)
    const { urlOf, expiresIn, expiresAt } = downloadSigner(bucket, request, new Date())
    const urls = await forEachKey(bucket, keys, async (key) => {
      requireKey(principal, 'files:read', key)
      return { key, url: await urlOf(key) }
    })
    return json(c, { urls, expiresIn, expiresAt })
  })
  .post('/files', validateJson(recordSchema), async (c) => {
    const { bucket: alias, ...request } = c.req.valid('json')
    const principal = c.get('principal')
    const key = parseObjectKey(request.key)
    requireKey(principal, 'files:upload', key)
    const bucket = chooseBucket(c, alias, key)
    const name = request.name ?? nameInKey(key)
    const upload = { key, name, owner: principal.id }
    const recorded = await recordUpload(bucket, c.env.instance.fileIndex, upload, new Date())
    await purgeReplaced(c, bucket, key, recorded.replaces)
    await tellRecorded(c, recorded)
    return created(c, recorded.record)
  })
  .get('/files', validateQuery(listSchema), async (c) => {
    const { bucket: alias, limit, cursor, urls, ...request } = c.req.valid('query')
    const principal = c.get('principal')
    const settings = c.get('settings')
    const prefix = parseKeyStart(request.prefix ?? principal.prefix)
    requireScope(principal, 'files:list')
    requirePrefix(principal, prefix)
    if (urls !== undefined) requireScope(principal, 'files:read')
    const bucket = chooseBucket(c, alias, prefix)
    const list = { bucket: bucket.alias, prefix }
    const page = await c.env.instance.fileIndex.list({
      ...list,
      limit,
      ...(cursor === undefined ? {} : { cursor: await openCursor(settings, list, cursor) }),
    })
    if (page.unreadable > 0) addWarning(c, `index entries unreadable: ${page.unreadable}`)
    const signer = urls && downloadSigner(bucket, { use: urls }, new Date())
    return json(c, {
      files: signer ? await withUrls(page.records, signer) : page.records,
      ...(page.cursor === undefined
        ? {}
        : { cursor: await sealCursor(settings, list, page.cursor) }),
    })
  })
  .get('/files/:key', validateQuery(bucketSchema), async (c) => {
    const key = keyParam(c)
    requireKey(c.get('principal'), 'files:read', key)
    const bucket = chooseBucket(c, c.req.valid('query').bucket, key)
    return json(c, await findFile(bucket, c.env.instance.fileIndex, key, new Date()))
  })
  .delete('/files/:key', validateQuery(bucketSchema), async (c) => {
    const key = keyParam(c)
    requireKey(c.get('principal'), 'files:delete', key)
    const bucket = chooseBucket(c, c.req.valid('query').bucket, key)
    const { fileIndex, objects } = c.env.instance
    const source = objects(c.executionCtx)
    try {
      await deleteObject(bucket, key, new Date())
    } catch (error) {
      // The object may be deleted anyway, so its edge copy must be purged.
      if (mayHaveHappened(error)) await purgeReplaced(c, bucket, key, true)
      throw error
    }
    try {
      await source.purge(bucket, key)
      await fileIndex.remove(bucket.alias, key)
    } finally {
      // The object is deleted, even if another step fails. A repeat sends the event again.
      await tellDeleted(c, { bucket: bucket.alias, key })
    }
    return c.body(null, 204)
  })

/** Returns the display name in a key that people chose. Throws `invalid_request` for other keys. */
function nameInKey(key: ObjectKey): string {
  const name = lastSegment(key)
  if (name !== '' && !isNewObjectKey(key)) return name
  const issues = [{ path: 'name', message: 'is missing' }]
  throw new ApiError('invalid_request', 'The request is not valid.', { issues })
}

const withUrls = (records: readonly FileRecord[], { urlOf }: DownloadSigner) =>
  Promise.all(records.map(async (record) => ({ ...record, url: await urlOf(record.key) })))
