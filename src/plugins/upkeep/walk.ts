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
import { walkObjects } from './objects.ts'
import { stopReason, type WalkState } from './state.ts'
import { dueKinds } from './store.ts'
import { MAX_UPLOAD_SECONDS, type Walk, WalkStep, type WalkStepResult } from './walk-step.ts'

/** Failed keys that a step tries again. */
const RETRIES = 3

const PHASES: Readonly<Record<WalkState['phase'], (step: WalkStep) => Promise<void>>> = {
  objects: walkObjects,
  uploads: walkUploads,
  entries: walkEntries,
  acting: act,
  idle: async () => undefined,
}

/**
 * Does the next step of a walk. Stays correct if the same step also runs elsewhere, at the same time or
 * later.
 */
export async function stepWalk(walk: Walk, state: WalkState, now: Date): Promise<WalkStepResult> {
  const step = new WalkStep(walk, state, now)
  try {
    await PHASES[state.phase](step)
    if (step.writes && !step.isOver) await retry(step)
  } catch (error) {
    step.fail(error)
  }
  return step.result()
}

/** Counts uploads in parts that nobody can finish any more, and aborts them. Then the pass ends. */
async function walkUploads(step: WalkStep): Promise<void> {
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
  if (next === undefined) step.end()
}

/** Counts entries of the index that no request can reach. Then the pass acts. */
async function walkEntries(step: WalkStep): Promise<void> {
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

/** Makes the changes that the pass has collected, if its counts allow that. */
async function act(step: WalkStep): Promise<void> {
  const { store, name, pageSize } = step.walk
  if (!step.writes) return step.set({ phase: 'uploads' })
  const reason = stopReason(step.state)
  if (reason !== null) return step.doubt(reason)
  const due = await store.due(name, ['collected'], step.now.getTime(), pageSize)
  if (due.length > 0) return void (await step.look(due))
  const { collected } = await store.status(name)
  if (collected === 0) step.set({ phase: 'uploads' })
  else step.isWaiting = true
}

/** Tries again what has failed. */
async function retry(step: WalkStep): Promise<void> {
  const { store, name } = step.walk
  // The phase at the start of the step: keys that the pass has collected wait for the brake.
  const { phase } = step.before
  const kinds = dueKinds({ ...step.state, phase }).filter((kind) => kind !== 'collected')
  await step.look(await store.due(name, kinds, step.now.getTime(), RETRIES))
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
