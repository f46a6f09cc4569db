import { purgeCopies } from '../../core/purge.ts'
import { askToDelete } from '../../core/uploads.ts'
import { timeOf } from '../../http/deadline.ts'
import { byUtf8 } from '../../keys/encodings.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { deleteVersions } from '../../storage/delete-objects.ts'
import { listVersions, type ObjectVersion, type VersionPage } from '../../storage/list-versions.ts'
import type { Place, PlaceIn } from './cursor.ts'
import { type Erasure, ifSupported } from './erasure.ts'

const PAGE = 100

/**
 * Deletes the versions of one page that are older than the date, except the present objects: these are
 * files. Resolves with the next place, null at the end, or undefined if this call is full.
 */
export async function deleteVersionsPage(
  erasure: Erasure,
  place: PlaceIn<'versions'>,
): Promise<Place | null | undefined> {
  if (!erasure.take(1)) return undefined
  const page = await pageOf(erasure, place)
  if (page === null) {
    erasure.tally.versions = null
    return null
  }
  const old = page.versions.filter(
    ({ isMarker, isLatest, lastModified }) =>
      !isMarker && !isLatest && lastModified < erasure.request.before,
  )
  const left = await removeVersions(erasure, old, place.skip)
  if (left !== null) return left === place.skip ? undefined : { ...place, skip: left }
  return page.next ? { phase: 'versions', marker: page.next } : { phase: 'markers' }
}

/**
 * Deletes the delete markers of one page: those that hide nothing, and the latest one of a key without
 * versions. Resolves with the next place, null at the end, or undefined if this call is full.
 */
export async function deleteMarkersPage(
  erasure: Erasure,
  place: PlaceIn<'markers'>,
): Promise<Place | null | undefined> {
  if (!erasure.take(1)) return undefined
  const page = await pageOf(erasure, place)
  if (page === null) return null
  const { markers, held } = chooseMarkers(page, place.held)
  const left = await removeVersions(erasure, markers, place.skip)
  if (left !== null) return left === place.skip ? undefined : { ...place, skip: left }
  erasure.tally.unreadable += page.unreadable
  return page.next ? { phase: 'markers', marker: page.next, ...(held && { held }) } : null
}

const pageOf = (erasure: Erasure, { marker }: PlaceIn<'versions' | 'markers'>) => {
  const { c, request } = erasure
  const { bucket, prefix } = request
  return ifSupported(listVersions(bucket, { prefix, limit: PAGE, marker }, timeOf(c)))
}

type Version = Pick<ObjectVersion, 'key' | 'versionId' | 'isMarker'>

/**
 * Deletes the versions after the first `skip`. Resolves with null if this call has tried all of them,
 * otherwise with the number to skip next time, since what is deleted is no longer on this page.
 */
async function removeVersions(
  erasure: Erasure,
  versions: readonly Version[],
  skip = 0,
): Promise<number | null> {
  const { c, request, tally } = erasure
  const { bucket } = request
  const rest = versions.slice(skip)
  const taken = erasure.takeDeletions(rest, () => 0)
  const allowed = await askFor(erasure, taken)
  const deletions = await deleteVersions(bucket, allowed, timeOf(c))
  let deleted = 0
  for (const [{ key }, failure] of deletions)
    if (failure === null) deleted += 1
    else erasure.fail(key, failure)
  tally.versions = (tally.versions ?? 0) + deleted
  return taken.length === rest.length ? null : skip + taken.length - deleted
}

/**
 * Asks the app and the plugins once for each key, then purges edge copies: afterwards, nothing would
 * tell which ones there were. Resolves with the versions that may be deleted.
 */
async function askFor(erasure: Erasure, versions: readonly Version[]): Promise<Version[]> {
  const { c, request } = erasure
  const { bucket } = request
  const refused = new Set<ObjectKey>()
  const keys = [...new Set(versions.map(({ key }) => key))]
  await Promise.all(
    keys.map(async (key) => {
      const asked = askToDelete(c, { type: 'delete', bucket: bucket.alias, key })
      if (!(await erasure.attempt(key, () => asked))) refused.add(key)
    }),
  )
  const hidden = versions.filter(({ key, isMarker }) => !isMarker && !refused.has(key))
  const copied = [...new Set(hidden.map(({ key }) => key))]
  if (copied.length > 0)
    await purgeCopies(c, bucket, copied).catch((error: unknown) => {
      for (const key of copied) {
        erasure.fail(key, error)
        refused.add(key)
      }
    })
  return versions.filter(({ key }) => !refused.has(key))
}

/**
 * Returns the markers of a page to delete, and the latest one of its last key, if versions of it may
 * follow on the next page.
 */
function chooseMarkers(
  { versions, next }: VersionPage,
  before: PlaceIn<'markers'>['held'],
): { readonly markers: readonly Version[]; readonly held: PlaceIn<'markers'>['held'] } {
  const kept = new Set<string>(versions.filter(({ isMarker }) => !isMarker).map(({ key }) => key))
  const listed = versions.filter(({ isMarker }) => isMarker)
  const hiding: Version[] = listed.filter(({ isLatest, key }) => isLatest && !kept.has(key))
  if (before && !kept.has(before.key))
    hiding.unshift({ ...before, key: parseObjectKey(before.key), isMarker: true })
  const last = versions
    .map(({ key }) => key)
    .reduce<string>((a, b) => (byUtf8(b, a) > 0 ? b : a), '')
  const found = next && hiding.find(({ key }) => key === last)
  const markers = [
    ...hiding.filter((marker) => marker !== found),
    ...listed.filter(({ isLatest }) => !isLatest),
  ]
  return { markers, held: found && { key: found.key, versionId: found.versionId } }
}
