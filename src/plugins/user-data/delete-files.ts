import { sixAtOnce } from '../../bucket/at-once.ts'
import { removeAll } from '../../core/remove.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { addWarning } from '../../http/request-log.ts'
import { byUtf8 } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { noFileIndex } from '../../records/file-index.ts'
import { listObjects } from '../../storage/list-objects.ts'
import { headObject } from '../../storage/object.ts'
import type { Position, PositionIn } from './cursor.ts'
import type { Erasure } from './erasure.ts'

const PAGE = 100

/** Deletes files, as `DELETE /files/:key` does. Resolves with those that it has deleted, or would delete. */
async function remove(
  erasure: Erasure,
  keys: readonly ObjectKey[],
  gone?: ReadonlySet<ObjectKey>,
): Promise<ObjectKey[]> {
  if (keys.length === 0) return []
  const { c, request } = erasure
  const answers = await Promise.all(keys.map((key) => erasure.ask(key)))
  const allowed = keys.filter((_, i) => answers[i])
  if (allowed.length === 0 || request.dryRun) return allowed
  const files = allowed.map((key) => ({ key }))
  const failures = await removeAll(c, request.bucket, files, { isAsked: true, isOne: true, gone })
  for (const key of allowed) if (failures.has(key)) erasure.fail(key, failures.get(key))
  return allowed.filter((key) => !failures.has(key))
}

/** Deletes the objects of one page. Resolves with the next position, or undefined if this call is full. */
export async function deleteObjectsPage(
  erasure: Erasure,
  { token, after }: PositionIn<'objects'>,
): Promise<Position | undefined> {
  if (!erasure.take(1)) return undefined
  const { c, request, tally } = erasure
  const { bucket, prefix, before } = request
  const page = await listObjects(bucket, { prefix, limit: PAGE, token, after }, timeOf(c))
  const old = page.objects.filter(({ lastModified }) => Date.parse(lastModified) < before)
  const taken = erasure.takeDeletions(old, ({ key }) => erasure.requestsAfter(key))
  const last = taken.at(-1)
  if (last === undefined && old.length > 0) return undefined
  tally.deleted += (
    await remove(
      erasure,
      taken.map(({ key }) => key),
    )
  ).length
  if (taken.length < old.length) return { phase: 'objects', after: last?.key }
  tally.unreadable += page.unreadable
  if (page.next !== undefined) return { phase: 'objects', token: page.next }
  return { phase: 'records', spelling: 0 }
}

/**
 * Deletes the records of one page whose objects are gone, or that the list of objects didn't show.
 * Resolves with the next position, or undefined if this call is full.
 */
export async function deleteRecordsPage(
  erasure: Erasure,
  { spelling, page: cursor, after }: PositionIn<'records'>,
): Promise<Position | undefined> {
  const { c, request, tally } = erasure
  const { bucket, before, dryRun } = request
  const index = fileIndexOf(c)
  const prefix = erasure.spellings()[spelling]
  if (index === noFileIndex || prefix === undefined) {
    const last = await erasure.forgetRest(after)
    if (last === null) return { phase: 'versions' }
    return last === (after ?? '') ? undefined : { phase: 'records', spelling, after: last }
  }
  if (!erasure.take(0)) return undefined
  const page = await index.list({ bucket: bucket.alias, prefix, limit: PAGE, cursor })
  const old = page.records.filter(
    ({ key, createdAt }) =>
      Date.parse(createdAt) < before && (after === undefined || byUtf8(key, after) > 0),
  )
  const taken = erasure.takeDeletions(old, ({ key }) => 1 + erasure.requestsAfter(key))
  const last = taken.at(-1)
  if (last === undefined && old.length > 0) return undefined
  // The record may be of an earlier upload under its key.
  const gone = new Set<ObjectKey>()
  const unlisted: ObjectKey[] = []
  await sixAtOnce(taken, ({ key }) =>
    erasure.attempt(key, async () => {
      const head = await headObject(bucket, key, timeOf(c), true)
      if (head === null) gone.add(key)
      // A dry run has counted it already.
      else if (!dryRun && head.lastModified.getTime() < before) unlisted.push(key)
    }),
  )
  const removed = await remove(erasure, [...gone, ...unlisted], gone)
  const records = removed.filter((key) => gone.has(key)).length
  tally.records += records
  tally.deleted += removed.length - records
  if (taken.length < old.length)
    return { phase: 'records', spelling, page: cursor, after: last?.key }
  tally.unreadable += page.unreadable
  if (page.unreadable > 0) addWarning(c, `index entries unreadable: ${page.unreadable}`)
  if (page.cursor !== undefined) return { phase: 'records', spelling, page: page.cursor }
  return { phase: 'records', spelling: spelling + 1 }
}
