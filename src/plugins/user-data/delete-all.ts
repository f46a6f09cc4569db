import { ApiError, asApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { abortUploadsPage } from './abort-uploads.ts'
import { type Place, type PlaceIn, START } from './cursor.ts'
import { deleteObjectsPage, deleteRecordsPage } from './delete-files.ts'
import { deleteMarkersPage, deleteVersionsPage } from './delete-versions.ts'
import { Erasure, type ErasureOptions, type ErasureRequest, ifSupported } from './erasure.ts'

/**
 * Deletes a part of what is below a prefix, as much as one call may, from `start` on. Returns what was
 * done, and the place where the next call goes on, or null at the end. Throws what lists throw, unless
 * something was done before.
 */
export async function deletePart(
  c: AppContext,
  request: ErasureRequest,
  start: Place = START,
  options: ErasureOptions,
): Promise<{ readonly erasure: Erasure; readonly place: Place | null }> {
  const erasure = new Erasure(c, request, options)
  let place = start
  try {
    for (;;) {
      const next = await nextPlace(erasure, place)
      if (next === null) return { erasure, place: null }
      if (next === undefined) return { erasure, place }
      place = next
    }
  } catch (error) {
    // The next call gets the same error, if it lasts.
    if (place === start || asApiError(error) === null) throw error
    return { erasure, place }
  }
}

/** What a full page of shared items counts for. */
const SHARES = 20

/** Ends a page of what is shared. Resolves with the next place, or undefined if this call is full. */
async function endShares(
  erasure: Erasure,
  { seam, start }: PlaceIn<'shares'>,
): Promise<Place | undefined> {
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
    ? { phase: 'shares', seam, start: page.next }
    : { phase: 'shares', seam: seam + 1, start: null }
}

const sharesUnavailable = () =>
  new ApiError('unavailable', 'Some grants or drop boxes could not be read. Try again.', {
    reason: 'state',
    retryAfterSeconds: 5,
  })

function nextPlace(erasure: Erasure, place: Place): Promise<Place | null | undefined> {
  switch (place.phase) {
    case 'shares':
      return endShares(erasure, place)
    case 'uploads':
      return abortUploadsPage(erasure, place)
    case 'objects':
      return deleteObjectsPage(erasure, place)
    case 'records':
      return deleteRecordsPage(erasure, place)
    case 'versions':
      return deleteVersionsPage(erasure, place)
    case 'markers':
      return deleteMarkersPage(erasure, place)
  }
}
