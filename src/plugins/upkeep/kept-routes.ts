import * as z from 'zod/mini'
import { cursorsOf } from '../../access/cursor.ts'
import { requirePrefix, requireScope } from '../../access/principal.ts'
import { sixAtOnce } from '../../bucket/at-once.ts'
import { requireSpelling } from '../../bucket/key-spelling.ts'
import { MAX_KEYS } from '../../bucket/limits.ts'
import { placeOf } from '../../core/announce.ts'
import { infer, keptRecord, type Place } from '../../core/reconcile.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseBucket, withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { bucket, digits, refusedKey, usually } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import type { KeptRecords } from '../../records/file-index.ts'

/** Each needs two requests to the bucket, and three if there is another record. The command sends 16: Cloudflare's free plan allows 50. */
const MAX_RESTORED = 20

const keptSchema = z.strictObject({
  limit: z.pipe(usually(digits, 100), z.int().check(z.minimum(1), z.maximum(MAX_KEYS))),
  cursor: z.optional(z.string()),
  bucket,
})

const restoreSchema = z.strictObject({
  keys: z.array(z.string()).check(z.minLength(1), z.maxLength(MAX_RESTORED)),
  changed: z.optional(z.boolean()),
  bucket,
})

/** Records with an owner that others than this owner have removed or replaced, in the last 30 days. */
export const keptRoutes = newApp()
  .get('/upkeep/kept', validateQuery(keptSchema), async (c) => {
    const { bucket: alias, limit, cursor } = c.req.valid('query')
    const principal = c.get('principal')
    requireScope(principal, 'index:write')
    const { prefix } = principal
    const chosen = chooseBucket(c, alias, prefix).alias
    const cursors = cursorsOf(c.get('settings'), ['kept', chosen, prefix], z.string())
    const page = await keptIn(c).list({
      bucket: chosen,
      prefix,
      limit,
      cursor: await cursors.open(cursor),
    })
    const now = timeOf(c)
    return json(c, {
      records: page.records.flatMap(({ record, keptAt, expiresAt }) =>
        expiresAt !== null && Date.parse(expiresAt) <= now.getTime()
          ? []
          : [{ ...record, keptAt, expiresAt }],
      ),
      ...(await cursors.seal(page.cursor)),
    })
  })
  .post('/upkeep/restore', validateJson(restoreSchema), async (c) => {
    const { bucket: alias, keys, changed = false } = c.req.valid('json')
    const principal = c.get('principal')
    requireScope(principal, 'index:write')
    const chosen = chooseBucket(c, alias, null)
    keptIn(c)
    const place = placeOf(c, await withCredentials(c, chosen))
    const records = await sixAtOnce([...new Set(keys)], async (text) => {
      try {
        const key = parseObjectKey(text)
        requirePrefix(principal, key)
        requireSpelling(chosen, key)
        return { key, outcome: await restore(place, key, changed) }
      } catch (error) {
        return refusedKey(text, error)
      }
    })
    return json(c, { records })
  })

/** Throws `not_supported` for an index that keeps nothing. */
function keptIn(c: AppContext): KeptRecords {
  const { kept } = fileIndexOf(c)
  if (kept !== undefined) return kept
  throw new ApiError('not_supported', 'The index of this presigner keeps no removed records.')
}

/**
 * Gives a key its kept record back if its object is there. Resolves with `kept` if the index has a record of the
 * object with an owner, `gone` without an object, `different` if the object is another one, `unknown` if nothing is kept.
 */
async function restore(
  place: Place,
  key: ObjectKey,
  changed: boolean,
): Promise<'restored' | 'kept' | 'gone' | 'different' | 'unknown'> {
  const { index, bucket, now } = place
  const isKept = (await keptRecord(index, bucket.alias, key, now)) !== null
  const may = (change: string) => change === 'returned'
  const { outcome, object } = await infer(place, key, { may, changed })
  if (outcome === 'returned') return 'restored'
  if (outcome === 'same' || outcome === 'updated') return 'kept'
  if (!isKept) return 'unknown'
  return object === null ? 'gone' : 'different'
}
