import * as z from 'zod/mini'
import { asApiError } from '../../errors/api-error.ts'
import { indexUnavailable } from '../../records/file-index.ts'
import {
  abortMultipartUpload,
  type ListedUpload,
  listUploadsPage,
} from '../../storage/multipart.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { IndexFailure } from './merge.ts'
import { MAX_UPLOAD_SECONDS, type Step } from './step.ts'

/** Counts uploads in parts that nobody can finish any more, and aborts them. */
export async function walkUploads(step: Step): Promise<void> {
  const { place, pageSize, isFirst } = step.walk
  const { bucket } = place
  step.use(1, 0)
  let page: Awaited<ReturnType<typeof listUploadsPage>>
  try {
    const marker = markerIn(step.state.marker)
    page = await listUploadsPage(bucket, marker, step.now, Math.min(1000, pageSize))
  } catch (error) {
    if (!isRefusal(error)) throw error
    return step.skip('uploads')
  }
  const isOld = ({ key, initiated }: ListedUpload) =>
    step.isManaged(key) && step.age(initiated.getTime()) > MAX_UPLOAD_SECONDS
  for (const upload of page.uploads) {
    const { key, s3UploadId } = upload
    if (isOld(upload)) {
      if (step.writes && isFirst) {
        // The next step goes on after the last one that is done, which is at least one.
        const isFirstAbort = step.state.counts.oldUploads === step.before.counts.oldUploads
        if (!isFirstAbort && (step.isOver || !step.take(1))) return
        await step.attempt(async () => {
          await abortMultipartUpload({ bucket, key, s3UploadId }, step.now)
          step.add({ aborted: 1 })
        })
      }
      const { oldUploads } = step.state.counts
      step.set({ counts: { ...step.state.counts, oldUploads: (oldUploads ?? 0) + 1 } })
    }
    step.set({ marker: JSON.stringify({ keyMarker: key, uploadIdMarker: s3UploadId }) })
  }
  const { next } = page
  step.set({ failures: 0, marker: next === undefined ? null : JSON.stringify(next) })
  if (next === undefined) step.set({ phase: 'entries' })
}

/** Counts entries of the index that no request can reach. Then the pass acts. */
export async function walkEntries(step: Step): Promise<void> {
  const { aliases, place } = step.walk
  const { marker } = step.state
  if (place.index.strayEntries === undefined) return step.skip('entries')
  const page = await place.index
    .strayEntries(aliases, marker ?? undefined)
    .catch((cause: unknown) => {
      throw new IndexFailure('Its entries can not be listed.', { cause })
    })
  const foreign = Object.values(page.aliases).reduce((all, one) => all + one, 0)
  step.add({ foreign, unreadable: page.unreadable })
  if (page.cursor !== undefined && page.cursor === marker)
    throw indexUnavailable(new Error('It lists entries on pages that never end.'))
  step.set({ failures: 0, marker: page.cursor ?? null })
  if (page.cursor === undefined) step.set({ phase: 'acting' })
}

const markerSchema = z.object({ keyMarker: z.string(), uploadIdMarker: z.string() })

const markerIn = (text: string | null) =>
  text === null ? undefined : markerSchema.parse(JSON.parse(text))

/** Tells whether the bucket refuses to list uploads, now and later. */
function isRefusal(error: unknown): boolean {
  const known = asApiError(error)
  if (known?.code === 'not_supported') return true
  const status = known?.cause instanceof StorageFailure ? known.cause.status : null
  return known?.code === 'storage_error' && status !== null && status >= 400 && status < 500
}
