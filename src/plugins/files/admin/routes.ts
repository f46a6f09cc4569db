import * as z from 'zod/mini'
import { cursorsOf } from '../../../access/cursor.ts'
import { isPrincipalId, requirePrefix, requireScope } from '../../../access/principal.ts'
import { requireSpelling } from '../../../bucket/key-spelling.ts'
import { MAX_KEYS } from '../../../bucket/limits.ts'
import { MAX_FILE_NAME_LENGTH } from '../../../bucket/upload-fields.ts'
import { askToSettle } from '../../../core/announce.ts'
import { ApiError } from '../../../errors/api-error.ts'
import { type AppContext, Kept } from '../../../http/app-env.ts'
import { chooseBucket, chooseOpenBucket, withCredentials } from '../../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../../http/deadline.ts'
import { bucket, digits, refusedKey, usually } from '../../../http/fields.ts'
import { newApp } from '../../../http/new-app.ts'
import { addWarning } from '../../../http/request-log.ts'
import { json } from '../../../http/responses.ts'
import { validateJson, validateQuery } from '../../../http/validate.ts'
import { type ObjectKey, parseKeyStart, parseObjectKey } from '../../../keys/object-key.ts'
import { toFileName } from '../../../keys/shown-name.ts'
import { type FileIndex, getMany, timedIndex } from '../../../records/file-index.ts'
import type { FileRecord } from '../../../records/file-record.ts'
import { listObjects } from '../../../storage/list-objects.ts'
import { putRecords } from './put-records.ts'

/** What the plugin has read of its options. */
export const ADMIN = new Kept<{
  readonly drivers: ReadonlyMap<string, FileIndex>
  readonly objects: boolean
}>()

/** Each needs two to four requests. The command sends 12: Cloudflare's free plan allows 50. */
const MAX_RECORDS = 20
const MAX_RECORDS_BODY_BYTES = 256 * 1024

const limit = z.pipe(usually(digits, 100), z.int().check(z.minimum(1), z.maximum(MAX_KEYS)))

const objectsSchema = z.strictObject({
  prefix: z.optional(z.string()),
  delimiter: z.optional(z.enum(['/'])),
  limit,
  cursor: z.optional(z.string()),
  bucket,
})

const indexSchema = z.strictObject({
  from: z.string(),
  limit,
  cursor: z.optional(z.string()),
  bucket,
})

const shortText = z.string().check(z.maxLength(255))

/** A record as `GET /index` returns it. */
const recordSchema = z.strictObject({
  key: z.string(),
  bucket: z.string(),
  name: z.string().check(z.maxLength(MAX_FILE_NAME_LENGTH)),
  size: z.int().check(z.minimum(0)),
  mimetype: shortText,
  etag: shortText,
  owner: z.nullable(z.string().check(z.refine(isPrincipalId, 'must be the id of a principal'))),
  createdAt: z
    .string()
    .check(
      z.refine(
        (text) => /^\d{4}-/.test(text) && new Date(text).toJSON() === text,
        'must be a date such as 2026-12-24T18:00:00.000Z',
      ),
    ),
  status: z.optional(z.literal('found')),
})

const putSchema = z.strictObject({
  to: z.string(),
  records: z.array(recordSchema).check(z.minLength(1), z.maxLength(MAX_RECORDS)),
  overwrite: z.optional(z.boolean()),
  bucket,
})

/** What is in the bucket, and pages of all records of an index. */
export const adminRoutes = newApp()
  .get('/objects', validateQuery(objectsSchema), async (c) => {
    const { bucket: alias, limit, cursor, delimiter, ...request } = c.req.valid('query')
    const principal = c.get('principal')
    const settings = c.get('settings')
    requireScope(principal, 'objects:list')
    const prefix = parseKeyStart(request.prefix ?? principal.prefix)
    requirePrefix(principal, prefix)
    const chosen = chooseBucket(c, alias, prefix)
    if (ADMIN.of(c.env.instance)?.objects !== true)
      throw new ApiError('not_found', 'There is no such route.')
    const list = ['objects', chosen.alias, prefix, delimiter ?? '']
    const cursors = cursorsOf(settings, list, z.string())
    const token = await cursors.open(cursor)
    const open = await withCredentials(c, chosen)
    const page = await listObjects(open, { prefix, delimiter, limit, token }, timeOf(c))
    if (page.unreadable > 0) addWarning(c, `objects left out: ${page.unreadable}`)
    const keys = page.objects.map(({ key }) => key)
    const records = await getMany(fileIndexOf(c), chosen.alias, keys)
    const recorded = new Set(records.map(({ key }) => key))
    return json(c, {
      objects: page.objects.map((object) => ({ ...object, isRecorded: recorded.has(object.key) })),
      ...(delimiter && { folders: page.folders.map((folder) => ({ prefix: folder })) }),
      ...(await cursors.seal(page.next)),
    })
  })
  .get('/index', validateQuery(indexSchema), async (c) => {
    const { bucket: alias, from, limit, cursor } = c.req.valid('query')
    const principal = c.get('principal')
    const settings = c.get('settings')
    requireScope(principal, 'index:write')
    const { prefix } = principal
    const chosen = chooseBucket(c, alias, prefix).alias
    const cursors = cursorsOf(settings, ['index', from, chosen, prefix], z.string())
    const { records, ...page } = await driverOf(c, from).list({
      bucket: chosen,
      prefix,
      limit,
      cursor: await cursors.open(cursor),
    })
    const { limits } = principal
    return json(c, {
      // The first one is the default.
      buckets: limits.buckets ?? settings.buckets.map((one) => one.alias),
      records,
      unreadable: page.unreadable,
      ...(await cursors.seal(page.cursor)),
    })
  })
  .put('/index', validateJson(putSchema, MAX_RECORDS_BODY_BYTES), async (c) => {
    const { bucket: alias, to, records, overwrite = false } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'index:write')
    const open = await chooseOpenBucket(c, alias, null)
    const index = driverOf(c, to)
    const accepted = new Map<ObjectKey, FileRecord>()
    const refused = records.flatMap((record) => {
      try {
        const key = parseObjectKey(record.key)
        requirePrefix(principal, key)
        requireSpelling(open, key)
        if (record.bucket !== open.alias || accepted.has(key))
          throw new ApiError('invalid_request', 'This is of another bucket, or appears twice.')
        // Upload routes refuse a name that nobody can see. An import keeps the record.
        accepted.set(key, { ...record, key, name: toFileName(record.name, key) })
        return []
      } catch (error) {
        return refusedKey(record.key, error)
      }
    })
    const place = { bucket: open, index, announce: null, purge: null, now: timeOf(c) }
    const put = await putRecords(place, [...accepted.values()], overwrite, (file) =>
      askToSettle(c, { type: 'recorded', file }),
    )
    return json(c, { records: [...put, ...refused] })
  })

/** Returns the index with this name. Throws `not_supported`. */
function driverOf(c: AppContext, name: string): FileIndex {
  const drivers = ADMIN.of(c.env.instance)?.drivers
  const index = drivers?.get(name)
  if (index !== undefined) return timedIndex(index, timeOf(c), c.env.instance.appMilliseconds)
  const known = [...(drivers?.keys() ?? [])].join(', ') || 'none'
  throw new ApiError('not_supported', `There is no index with this name here. Known: ${known}.`)
}
