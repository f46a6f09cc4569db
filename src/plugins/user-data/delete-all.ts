import { asApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { abortUploadsPage } from './abort-uploads.ts'
import { type Place, START } from './cursor.ts'
import { deleteObjectsPage, deleteRecordsPage } from './delete-files.ts'
import { deleteMarkersPage, deleteVersionsPage } from './delete-versions.ts'
import { Erasure, type ErasureOptions, type ErasureRequest } from './erasure.ts'

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

function nextPlace(erasure: Erasure, place: Place): Promise<Place | null | undefined> {
  switch (place.phase) {
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
