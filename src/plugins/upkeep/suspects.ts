import { sixAtOnce } from '../../bucket/at-once.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { headObject } from '../../storage/object.ts'
import { stopAtWitnesses, type Testimony } from './brake.ts'
import { dropRecord, lookAgain } from './repair.ts'
import { SECOND_LOOK_SECONDS, type StopReason } from './state.ts'
import { failureOf, type Step } from './step.ts'

/** Second looks of one step, and the requests of each to the bucket: a HEAD has two for a missing object. */
const MAX_LOOKS = 8
const LOOK_REQUESTS = 3
/** Operations of the index that a second look and the start of a pass need at most. */
const LOOK_OPERATIONS = 4
const BEGIN_OPERATIONS = 4

/** Asks the witnesses of the last pass, before this one begins. */
export async function beginPass(step: Step): Promise<StopReason | null> {
  const { bucket, index, import: imported } = step.walk
  step.set({ startedAt: step.now.toISOString() })
  step.use(BEGIN_OPERATIONS)
  if (!step.writes || imported !== null) return null
  const { witnesses } = step.before
  const testimonies = await sixAtOnce(witnesses, async ({ key, etag }): Promise<Testimony> => {
    const known = await index.get(bucket.alias, key)
    if (known !== null && known.etag !== etag) return null
    step.take(2)
    const isThere = (await headObject(bucket, key, step.now))?.etag === etag
    if (known === null) return null
    return isThere ? 'is there' : 'is missing'
  })
  return stopAtWitnesses(step.state, testimonies)
}

/** Takes a second look at suspects, and drops the records whose objects are still missing. */
export async function lookAtSuspects(step: Step): Promise<void> {
  const { keep, eventRequests } = step.walk
  const requests = LOOK_REQUESTS + eventRequests
  const now = step.now.getTime()
  const { announced, suspects } = step.state
  const due = suspects
    .filter(({ seenAt }) => now - seenAt >= SECOND_LOOK_SECONDS * 1000)
    .sort(
      (one, other) => Number(announced.includes(other.key)) - Number(announced.includes(one.key)),
    )
    .slice(0, looksWithin(step, requests))
  const told: ObjectKey[] = []
  await sixAtOnce(due, async (suspect) => {
    const { key } = suspect
    step.take(requests, LOOK_OPERATIONS)
    let seenAt: number | null = null
    try {
      const record = await lookAgain(step.repair, suspect)
      if (record === null) return
      if (keep === null && !announced.includes(key)) {
        step.toDrop.push(record)
        told.push(key)
        seenAt = suspect.seenAt
        return
      }
      if (keep !== null) await keep([record], step.now)
      await dropRecord(step.repair, record)
      step.add({ dropped: 1 })
    } catch (error) {
      // It gets its next look later, so that the walk goes on.
      seenAt = now
      if (announced.includes(key)) told.push(key)
      step.failure ??= failureOf(error)
    } finally {
      const others = step.state.suspects.filter((other) => other.key !== key)
      step.set({ suspects: seenAt === null ? others : [...others, { ...suspect, seenAt }] })
    }
  })
  const waiting = suspects.filter((suspect) => !due.includes(suspect))
  const rest = announced.filter((key) => waiting.some((suspect) => suspect.key === key))
  step.set({ announced: [...rest, ...told] })
}

/** Returns how many second looks there is room for, with as much left for the page. */
function looksWithin(step: Step, requests: number): number {
  const { left } = step.walk.operations
  const half = Math.min(step.requests / requests, left / LOOK_OPERATIONS) / 2
  return Math.max(0, Math.min(MAX_LOOKS, Math.floor(half)))
}
