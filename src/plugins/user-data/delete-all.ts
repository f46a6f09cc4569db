import { sixAtOnce } from '../../bucket/at-once.ts'
import { askAboutStep } from '../../core/change.ts'
import { ApiError, asApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { timeOf } from '../../http/deadline.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { abortMultipartUpload, listUploadsPage } from '../../storage/multipart.ts'
import { type Position, type PositionIn, START } from './cursor.ts'
import { deleteObjectsPage, deleteRecordsPage } from './delete-files.ts'
import { deleteMarkersPage, deleteVersionsPage } from './delete-versions.ts'
import { Erasure, type ErasureOptions, type ErasureRequest, ifSupported } from './erasure.ts'

/**
 * Deletes a part of what is below a prefix, as much as one call may, from `start` on. Returns what was
 * done, and the position where the next call goes on, or null at the end. Throws what lists throw, unless
 * something was done before.
 */
export async function deletePart(
  c: AppContext,
  request: ErasureRequest,
  start: Position = START,
  options: ErasureOptions,
): Promise<{ readonly erasure: Erasure; readonly position: Position | null }> {
  const erasure = new Erasure(c, request, options)
  const plugins = c.env.instance.plugins.join()
  // After a change of the list, another plugin may have this seam.
  const isOther = start.phase === 'shares' && start.plugins !== plugins
  const first = isOther ? { ...START, plugins } : start
  let position: Position = first
  try {
    for (;;) {
      const next = await nextPosition(erasure, position)
      if (next === null) return { erasure, position: null }
      if (next === undefined) return { erasure, position }
      position = next
    }
  } catch (error) {
    // The next call gets the same error, if it lasts.
    if (position === first || asApiError(error) === null) throw error
    return { erasure, position }
  }
}

/** What a full page of shared items counts for. */
const SHARES = 20

/** Ends a page of what is shared. Resolves with the next position, or undefined if this call is full. */
async function endShares(
  erasure: Erasure,
  { seam, start, ...place }: PositionIn<'shares'>,
): Promise<Position | undefined> {
  const { c, request, tally } = erasure
  const erase = c.env.instance.seams.erase[seam]
  if (erase === undefined) return { phase: 'uploads' }
  if (!erasure.take(0)) return undefined
  const { bucket, before, dryRun } = request
  const below = { bucket: bucket.alias, prefixes: erasure.spellings(), before, dryRun }
  // Outside of Workers, nothing can be shared.
  const page = await ifSupported(erase(c, below, start))
  tally.shares += page?.ended ?? 0
  if (page?.next) erasure.spend(SHARES)
  if (page?.hasFailed) erasure.fail(parseObjectKey(request.prefix), sharesUnavailable())
  return page?.next
    ? { ...place, seam, start: page.next }
    : { ...place, seam: seam + 1, start: null }
}

const sharesUnavailable = () =>
  new ApiError('unavailable', 'Some grants or drop boxes could not be read. Try again.', {
    reason: 'state',
    retryAfterSeconds: 5,
  })

function nextPosition(erasure: Erasure, position: Position): Promise<Position | null | undefined> {
  switch (position.phase) {
    case 'shares':
      return endShares(erasure, position)
    case 'uploads':
      return abortUploadsPage(erasure, position)
    case 'objects':
      return deleteObjectsPage(erasure, position)
    case 'records':
      return deleteRecordsPage(erasure, position)
    case 'versions':
      return deleteVersionsPage(erasure, position)
    case 'markers':
      return deleteMarkersPage(erasure, position)
  }
}

/**
 * Aborts the unfinished uploads of one page that are below the prefix. The list is that of the whole
 * bucket: MinIO accepts only whole keys as a prefix. Resolves with the next position, or undefined if
 * this call is full.
 */
async function abortUploadsPage(
  erasure: Erasure,
  position: PositionIn<'uploads'>,
): Promise<Position | undefined> {
  if (!erasure.take(1)) return undefined
  const { c, request, tally } = erasure
  const { bucket, before, dryRun } = request
  const page = await ifSupported(
    listUploadsPage(await request.listing(), position.marker, timeOf(c)),
  )
  if (page === null) {
    tally.uploads = null
    return { phase: 'objects' }
  }
  const { skip = 0 } = position
  const rest = page.uploads
    .filter(({ key, initiated }) => erasure.isBelow(key) && initiated.getTime() < before)
    .slice(skip)
  const taken = erasure.takeItems(rest, () => 1)
  if (taken.length === 0 && rest.length > 0) return undefined
  const aborted = new Set<string>()
  await sixAtOnce(taken, async ({ key, s3UploadId }) => {
    if (!(await erasure.ask(key))) return
    await erasure.attempt(key, async () => {
      if (!dryRun) {
        // Asks the plugins as for an owner who aborts an upload.
        const step = { type: 'abort', bucket: bucket.alias, key, size: undefined } as const
        await askAboutStep(c, step, () => Promise.resolve(null))
        await abortMultipartUpload({ bucket, key, s3UploadId }, timeOf(c))
      }
      aborted.add(s3UploadId)
    })
  })
  tally.uploads = (tally.uploads ?? 0) + aborted.size
  // Not every server finds the position of an upload that is gone. What is left is skipped.
  const isGone = !dryRun && page.next !== undefined && aborted.has(page.next.uploadIdMarker)
  if (taken.length < rest.length || isGone)
    return { ...position, skip: skip + taken.length - (dryRun ? 0 : aborted.size) }
  tally.unreadable += page.unreadable.filter((key) => erasure.isBelow(key)).length
  return page.next ? { phase: 'uploads', marker: page.next } : { phase: 'objects' }
}
