import * as z from 'zod/mini'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { askToDelete } from '../../core/ask-app.ts'
import { isSameFile, keptRecord } from '../../core/reconcile.ts'
import { removeAll } from '../../core/remove.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { withCredentials } from '../../http/choose-bucket.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { bucket, digits, refusedKey, usually } from '../../http/fields.ts'
import { newApp } from '../../http/new-app.ts'
import { json } from '../../http/responses.ts'
import { validateJson, validateQuery } from '../../http/validate.ts'
import { type ObjectKey, parseKeyStart, parseObjectKey } from '../../keys/object-key.ts'
import type { FileIndex } from '../../records/file-index.ts'
import { isConfirmed } from '../../records/file-record.ts'
import { headObject } from '../../storage/object.ts'
import { type Driver, homeOf } from './driver.ts'
import { driverFor, wholeBucket } from './routes.ts'
import type { Ownerless, WalkStore } from './store.ts'

const DAY_MILLISECONDS = 86_400_000
const SAMPLES = 10
/** Above one orphan in this many files, a person must state the count. */
const SHARE = 10
/** Pages of the index that are counted. Cloudflare's free plan allows 50 operations. */
const MAX_PAGES = 30
const PAGE = 1000
/** Each needs up to seven requests and six operations of the index. Cloudflare's free plan allows 50 of each. */
const MAX_DELETED = 5
/** Records whose objects tell whether this is the bucket that the index knows. */
const WITNESSES = 3

const days = z.int().check(z.minimum(1), z.maximum(3650))

const listSchema = z.strictObject({
  prefix: z.optional(z.string()),
  olderThanDays: z.pipe(usually(digits, 30), days),
  bucket,
})

const deleteSchema = z.strictObject({
  prefix: z.string().check(z.minLength(1)),
  olderThanDays: days,
  count: z.optional(z.int().check(z.minimum(1))),
  after: z.optional(z.string()),
  bucket,
})

/**
 * Objects that have no record with an owner, and no kept one, for so long since upkeep first saw them so. A person
 * may delete them: nothing else shows that nobody needs them.
 */
export const orphanRoutes = newApp()
  .get('/upkeep/orphans', validateQuery(listSchema), async (c) => {
    const driver = driverFor(c, 'upkeep:read')
    const { bucket: alias, olderThanDays, ...query } = c.req.valid('query')
    const list = listOf(c, driver, alias, parseKeyStart(query.prefix ?? ''), olderThanDays)
    const { chosen, prefix, before, store } = list
    const { count, bytes } = await store.ownerlessSum(chosen.alias, prefix, before)
    const samples = await store.ownerless(chosen.alias, prefix, before, SAMPLES)
    return json(c, {
      bucket: chosen.alias,
      prefix,
      count,
      bytes,
      isMany: await isMany(fileIndexOf(c), list),
      samples: samples.map(({ since, ...object }) => ({
        ...object,
        since: new Date(since).toISOString(),
      })),
    })
  })
  .post('/upkeep/orphans/delete', validateJson(deleteSchema), async (c) => {
    const driver = driverFor(c, 'upkeep:run')
    const body = c.req.valid('json')
    const { after } = body
    const prefix = parseKeyStart(body.prefix)
    const list = listOf(c, driver, body.bucket, prefix, body.olderThanDays)
    const { chosen, before, store } = list
    const index = fileIndexOf(c)
    await requireWalked(list)
    const { count } = await store.ownerlessSum(chosen.alias, prefix, before, after)
    if (body.count === undefined ? await isMany(index, list) : count !== body.count)
      throw invalidMember('count', `must be ${count}, the number of files that would be deleted`)
    const open = await withCredentials(c, chosen)
    await requireWitness(c, index, open)
    const orphans = await store.ownerless(chosen.alias, prefix, before, MAX_DELETED, after)
    const files = await sixAtOnce(orphans, (orphan) => removeOrphan(c, driver, open, index, orphan))
    const done = files.flatMap((file) => ('outcome' in file ? [file.key] : []))
    await store.forgetOwnerless(chosen.alias, done)
    const last = orphans.at(-1)
    return json(c, { files, ...(orphans.length === MAX_DELETED && last && { after: last.key }) })
  })

/** The orphans below a prefix, and where they are remembered. */
interface OrphanList {
  readonly chosen: ConfiguredBucket
  readonly store: WalkStore
  readonly prefix: string
  /** Milliseconds since 1970. */
  readonly before: number
}

function listOf(
  c: AppContext,
  driver: Driver,
  alias: string | undefined,
  prefix: string,
  olderThanDays: number,
): OrphanList {
  const chosen = wholeBucket(c, alias)
  const { store } = homeOf(driver, chosen, timeOf(c))
  const before = timeOf(c).getTime() - olderThanDays * DAY_MILLISECONDS
  return { chosen, store, prefix, before }
}

/** Tells whether the orphans are more than a tenth of all files below the prefix, or whether that is unknown. */
async function isMany(
  index: FileIndex,
  { chosen, store, prefix, before }: OrphanList,
): Promise<boolean> {
  const { alias } = chosen
  const { count, all } = await store.ownerlessSum(alias, prefix, before)
  const isFew = (files: number) => SHARE * count <= Math.max(files, all)
  if (isFew(0)) return false
  let files = 0
  let cursor: string | undefined
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await index.list({ bucket: alias, prefix, limit: PAGE, ...(cursor && { cursor }) })
    files += page.records.length
    if (isFew(files)) return false
    if (page.cursor === undefined) return true
    ;({ cursor } = page)
  }
  return true
}

/** Throws `precondition_failed` unless the last pass through the bucket found it in order. */
async function requireWalked({ chosen, store }: OrphanList): Promise<void> {
  const state = (await store.states([chosen.alias])).get(chosen.alias)
  if (state?.stopped)
    throw refusal(`The walk through this bucket has stopped: ${state.stopped.reason}.`)
  if (!state?.last) throw refusal('No walk through this bucket has ended yet.')
}

/** Throws `precondition_failed` for an index without confirmed files, and if the bucket has none of their objects. */
async function requireWitness(c: AppContext, index: FileIndex, open: Bucket): Promise<void> {
  let left = WITNESSES
  let cursor: string | undefined
  for (let pages = 0; pages < MAX_PAGES && left > 0; pages++) {
    const input = { bucket: open.alias, prefix: '', limit: PAGE, ...(cursor && { cursor }) }
    const page = await index.list(input)
    // Upkeep may have recorded the objects of another bucket.
    for (const record of page.records.filter(isConfirmed).slice(0, left)) {
      const head = await headObject(open, record.key, timeOf(c))
      if (head !== null && isSameFile(record, head)) return
      left -= 1
    }
    ;({ cursor } = page)
    if (cursor === undefined) break
  }
  if (left === WITNESSES) throw refusal('The index has no file that somebody has confirmed.')
  throw refusal('The bucket has none of the files that the index knows: it may be another one.')
}

const refusal = (why: string): ApiError =>
  new ApiError('precondition_failed', `${why} Nothing is deleted.`)

/**
 * Deletes an orphan, if it is still one: the object that upkeep has seen, and no later upload of the same bytes,
 * without a record with an owner or a kept one, under any alias of a bucket with this name. Asks the app.
 */
async function removeOrphan(
  c: AppContext,
  { settings }: Driver,
  open: Bucket,
  index: FileIndex,
  { key: text, etag, since }: Ownerless,
): Promise<{ key: string; outcome: 'deleted' | 'owned' } | ReturnType<typeof refusedKey>> {
  try {
    const key = parseObjectKey(text)
    if (await isOwned(index, settings.buckets, open, key, timeOf(c)))
      return { key, outcome: 'owned' }
    const head = await headObject(open, key, timeOf(c))
    if (head !== null && head.lastModified.getTime() > since)
      throw refusal('It was uploaded again since upkeep first saw it.')
    await askToDelete(c, { type: 'delete', bucket: open.alias, key }, 'upkeep')
    const failures = await removeAll(c, open, [{ key, etag }], { isAsked: true, isOne: true })
    if (failures.has(key)) throw failures.get(key)
    return { key, outcome: 'deleted' }
  } catch (error) {
    return refusedKey(text, error)
  }
}

async function isOwned(
  index: FileIndex,
  buckets: readonly ConfiguredBucket[],
  { name }: Bucket,
  key: ObjectKey,
  now: Date,
): Promise<boolean> {
  // They may be this bucket at another address.
  for (const { alias } of buckets.filter((other) => other.name === name)) {
    if ((await index.get(alias, key))?.owner) return true
    if ((await keptRecord(index, alias, key, now)) !== null) return true
  }
  return false
}
