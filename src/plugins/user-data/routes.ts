import * as z from 'zod/mini'
import { requirePrefix, requireScope } from '../../access/principal.ts'
import { MAX_REPLACEABLE_SECONDS, MAX_SKEW_SECONDS } from '../../bucket/limits.ts'
import { withWalkingKeys } from '../../bucket/walking-keys.ts'
import { attachment } from '../../core/content-disposition.ts'
import { warnOfFailures } from '../../core/remove.ts'
import { invalidMember } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { logWarning } from '../../errors/warnings.ts'
import { Kept } from '../../http/app-env.ts'
import { chooseBucket, withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, removeDeadline, timeOf } from '../../http/deadline.ts'
import { bucket, instant, refusedKey, usually } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { parseKeyStart } from '../../keys/object-key.ts'
import { erasureCursors } from './cursor.ts'
import { deletePart } from './delete-all.ts'
import type { ErasureOptions } from './erasure.ts'
import { exportRecords, FORMATS } from './export.ts'

/** What the plugin has read of its options. */
export const OPTIONS = new Kept<ErasureOptions>()

const MAX_CURSOR_LENGTH = 16_384

const deleteAllSchema = z.strictObject({
  // Without the slash, `users/al` would also delete `users/alice/`.
  prefix: z
    .string()
    .check(z.refine((prefix) => prefix.endsWith('/'), 'must not be empty, and must end with "/"')),
  before: instant(),
  dryRun: z.optional(z.boolean()),
  bucket,
  cursor: z.optional(z.string().check(z.maxLength(MAX_CURSOR_LENGTH))),
})

const exportSchema = z.strictObject({
  prefix: z.optional(z.string()),
  format: usually(z.enum(['ndjson', 'csv']), 'ndjson'),
  bucket,
})

/** Everything below a prefix, such as the files of one person. */
export const userDataRoutes = newApp()
  .post('/files/delete-all', validateJson(deleteAllSchema), async (c) => {
    const { prefix: given, before, dryRun = false, bucket: alias, cursor } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'files:delete-all')
    const prefix = parseKeyStart(given)
    requirePrefix(principal, prefix)
    const chosen = chooseBucket(c, alias, prefix)
    const bucket = await withCredentials(c, chosen)
    const now = timeOf(c)
    const time = Date.parse(before)
    if (time > now.getTime() + MAX_SKEW_SECONDS * 1000)
      throw invalidMember('before', 'must not be in the future')
    const scope = { principal: principal.id, bucket: bucket.alias, prefix, before, dryRun }
    const positions = erasureCursors(c.get('settings'), scope, now)
    const start = await positions.open(cursor)
    const options = OPTIONS.of(c.env.instance)
    if (options === undefined) throw new Error('The plugin userData was not set up.')
    // A bucket may tell only the second. What could be later stays.
    const request = {
      bucket,
      prefix,
      before: Math.floor(time / 1000) * 1000,
      dryRun,
      listing: () => withCredentials(c, withWalkingKeys(chosen)),
    }
    const { erasure, position } = await deletePart(c, request, start, options)
    warnOfFailures(c, 'deleted', [...erasure.failures.values()])
    const repeatAfter = new Date(now.getTime() + MAX_REPLACEABLE_SECONDS * 1000).toISOString()
    return json(c, {
      ...erasure.tally,
      failures: Array.from(erasure.failures, ([key, error]) => refusedKey(key, error)),
      ...(await positions.seal(position)),
      repeatAfter,
    })
  })
  .get('/export', validateQuery(exportSchema), async (c) => {
    const { prefix: asked, format, bucket: alias } = c.req.valid('query')
    const principal = c.get('principal')
    requireScope(principal, 'files:list')
    const prefix = parseKeyStart(asked ?? principal.prefix)
    requirePrefix(principal, prefix)
    const { alias: bucket } = chooseBucket(c, alias, prefix)
    // It takes as long as the client reads. Each page has its own limit.
    removeDeadline(c)
    const about = { requestId: c.get('requestId'), bucket }
    // The log line of the request may be written already.
    const body = await exportRecords(fileIndexOf(c), { bucket, prefix }, FORMATS[format], {
      unreadable: (entries) => logWarning('index entries unreadable', { ...about, entries }),
      failure: (error) => logWarning('export cut', { ...about, reason: describe(error) }),
    })
    const headers = {
      'Content-Type': FORMATS[format].contentType,
      'Content-Disposition': attachment(`files.${format}`),
      'Cache-Control': 'no-store',
    }
    return new Response(body, { headers })
  })
