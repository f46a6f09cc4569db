import { ApiError, asApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { abortUploadsPage } from './abort-uploads.ts'
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
