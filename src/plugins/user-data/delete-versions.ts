import { purgeCopies } from '../../core/purge.ts'
import { timeOf } from '../../http/deadline.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { deleteVersions } from '../../storage/delete-objects.ts'
import type { Position, PositionIn } from './cursor.ts'
import { type Erasure, ifSupported } from './erasure.ts'
import { listVersions, type ObjectVersion, type VersionPage } from './list-versions.ts'

const PAGE = 100

/**
 * Deletes the versions of one page that are older than the date, except the present objects: these are
 * files. Resolves with the next position, null at the end, or undefined if this call is full.
 */
export async function deleteVersionsPage(
  erasure: Erasure,
  position: PositionIn<'versions'>,
): Promise<Position | null | undefined> {
  const page = await pageOf(erasure, position)
  if (page === undefined) return undefined
  if (page === null) {
    erasure.tally.versions = null
    return null
  }
  const { before, dryRun } = erasure.request
  const isOld = ({ lastModified }: ObjectVersion) => lastModified < before
  const later = page.versions.filter((version) => !version.isMarker && !isOld(version))
  const kept = new Set(later.map(({ key }) => key))
  // A dry run counts the delete markers here, since it removes none of the versions below them.
  const old = page.versions.filter((version) =>
    version.isMarker
      ? dryRun && !(version.isLatest && kept.has(version.key))
      : !version.isLatest && isOld(version),
  )
  const result = await removeVersions(erasure, position, page, old)
  if (result !== 'done') return result
  if (dryRun) erasure.tally.unreadable += page.unreadable
  if (page.next) return { phase: 'versions', marker: page.next }
  return dryRun ? null : { phase: 'markers' }
}

/**
 * Deletes the delete markers of one page: those that hide nothing, and the latest one of a key without
 * versions. Resolves with the next position, null at the end, or undefined if this call is full.
 */
export async function deleteMarkersPage(
  erasure: Erasure,
  position: PositionIn<'markers'>,
): Promise<Position | null | undefined> {
  const page = await pageOf(erasure, position)
  if (page === undefined || page === null) return page
  const kept = new Set(page.versions.filter(({ isMarker }) => !isMarker).map(({ key }) => key))
  const last = page.next?.key
  // Versions of the last key may be on the next page.
  const isOpen = page.versions.some(({ key, isLatest }) => key === last && isLatest)
  if (isOpen && last !== undefined && !kept.has(parseObjectKey(last))) {
    const bare = await hasNoVersion(erasure, parseObjectKey(last))
    if (bare === undefined) return undefined
    if (!bare) kept.add(parseObjectKey(last))
  }
  const markers = page.versions.filter(
    ({ key, isMarker, isLatest }) => isMarker && !(isLatest && kept.has(key)),
  )
  const result = await removeVersions(erasure, position, page, markers)
  if (result !== 'done') return result
  erasure.tally.unreadable += page.unreadable
  return page.next ? { phase: 'markers', marker: page.next } : null
}

/** Returns a page, null if the bucket can't list versions, or undefined if this call is full. */
async function pageOf(
  erasure: Erasure,
  { marker }: PositionIn<'versions' | 'markers'>,
): Promise<VersionPage | null | undefined> {
  if (!erasure.take(1)) return undefined
  const { c, request } = erasure
  const { bucket, prefix } = request
  return ifSupported(listVersions(bucket, { prefix, limit: PAGE, marker }, timeOf(c)))
}

/** Tells whether a key has only delete markers, or undefined if this call is full. */
async function hasNoVersion(erasure: Erasure, key: ObjectKey): Promise<boolean | undefined> {
  if (!erasure.take(1)) return undefined
  const { c, request } = erasure
  const page = await listVersions(request.bucket, { prefix: key, limit: PAGE }, timeOf(c))
  const ofKey = page.versions.filter((version) => version.key === key)
  const isComplete = page.next === undefined || ofKey.length < page.versions.length
  return isComplete && ofKey.every(({ isMarker }) => isMarker)
}

/**
 * Deletes `versions` of a page, after the first `skip`. Resolves with `done`, or with the same position if
 * some were not tried, or if the next page would start after one that is gone: not every server finds
 * that position again. What is deleted is then missing there, and what is left is skipped. Resolves with
 * undefined if this call is full.
 */
async function removeVersions<P extends PositionIn<'versions' | 'markers'>>(
  erasure: Erasure,
  position: P,
  { next }: VersionPage,
  versions: readonly ObjectVersion[],
): Promise<P | 'done' | undefined> {
  const { c, request, tally } = erasure
  const { skip = 0 } = position
  const rest = versions.slice(skip)
  const taken = erasure.takeDeletions(rest, () => 0)
  if (taken.length === 0) return rest.length === 0 ? 'done' : undefined
  const allowed = await askFor(erasure, taken)
  if (request.dryRun) {
    tally.versions = (tally.versions ?? 0) + allowed.length
    return taken.length === rest.length ? 'done' : { ...position, skip: skip + taken.length }
  }
  const deletions = await deleteVersions(request.bucket, allowed, timeOf(c))
  const deleted = allowed.filter((version) => deletions.get(version) === null)
  for (const [{ key }, failure] of deletions) if (failure !== null) erasure.fail(key, failure)
  tally.versions = (tally.versions ?? 0) + deleted.length
  const isGone = deleted.some(
    ({ key, versionId }) => key === next?.key && versionId === next.versionId,
  )
  if (taken.length === rest.length && !isGone) return 'done'
  return { ...position, skip: skip + taken.length - deleted.length }
}

/**
 * Asks the app and the plugins once for each key, then purges edge copies: afterwards, nothing would
 * tell which ones there were. Resolves with the versions that may be deleted.
 */
async function askFor(
  erasure: Erasure,
  versions: readonly ObjectVersion[],
): Promise<ObjectVersion[]> {
  const { c, request } = erasure
  const { bucket } = request
  const refused = new Set<ObjectKey>()
  const keys = [...new Set(versions.map(({ key }) => key))]
  await Promise.all(
    keys.map(async (key) => {
      if (!(await erasure.ask(key))) refused.add(key)
    }),
  )
  const hidden = versions.filter(({ key, isMarker }) => !isMarker && !refused.has(key))
  const copied = [...new Set(hidden.map(({ key }) => key))]
  if (copied.length > 0 && !request.dryRun)
    await purgeCopies(c, bucket, copied).catch((error: unknown) => {
      for (const key of copied) {
        erasure.fail(key, error)
        refused.add(key)
      }
    })
  return versions.filter(({ key }) => !refused.has(key))
}
