import { sixAtOnce } from '../../bucket/at-once.ts'
import { askAboutStep } from '../../core/change.ts'
import { timeOf } from '../../http/deadline.ts'
import { abortMultipartUpload, listUploadsPage } from '../../storage/multipart.ts'
import type { Position, PositionIn } from './cursor.ts'
import { type Erasure, ifSupported } from './erasure.ts'

/**
 * Aborts the unfinished uploads of one page that are below the prefix. The list is that of the whole
 * bucket: MinIO accepts only whole keys as a prefix. Resolves with the next position, or undefined if
 * this call is full.
 */
export async function abortUploadsPage(
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
