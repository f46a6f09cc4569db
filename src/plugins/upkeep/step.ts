import { ApiError, asApiError, REASONS_BY_CODE, type Reason } from '../../errors/api-error.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { indexUnavailable } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { TIMEOUT_SECONDS } from '../../storage/s3.ts'
import { reasonsIn } from './brake.ts'
import { IndexFailure } from './merge.ts'
import { ownerFinder } from './owner.ts'
import { startWalk, type Walk } from './pass.ts'
import type { Repair } from './repair.ts'
import type { Counts, PassSummary, StepResult, StopReason, WalkState } from './state.ts'

/** After this many failures at one place, the walk passes over it. */
const MAX_FAILURES = 3
/** A step begins no repairs after this time, half of a lease. */
const STEP_MILLISECONDS = 60_000
/** No repair begins this shortly before a request's deadline: one request may take as long. */
const LAST_MILLISECONDS = TIMEOUT_SECONDS * 1000

/** Reasons of errors that say nothing about one key. */
const LATER: readonly (Reason | undefined)[] = [
  ...REASONS_BY_CODE.misconfigured,
  ...(['storage', 'credentials_source', 'events'] as const),
]

/** Counts that grow. */
export type Added = Partial<Record<keyof Counts, number>>

/** A step of a walk: what it has done so far, and what it may still use. */
export class Step {
  readonly walk: Walk
  readonly repair: Repair
  readonly now: Date
  readonly before: WalkState
  /** In milliseconds since 1970. */
  readonly endsAt: number
  state: WalkState
  requests: number
  toDrop: FileRecord[] = []
  ended: PassSummary | null = null
  failure: ApiError | null = null
  /** The size of all suspects in JSON, and of those that are no longer there. */
  suspectsLength: number | undefined

  constructor(walk: Walk, state: WalkState, now: Date) {
    this.walk = walk
    this.now = now
    this.before = state
    this.endsAt = Math.min(Date.now() + STEP_MILLISECONDS, deadlineOf(now) - LAST_MILLISECONDS)
    this.state = state
    this.requests = walk.maxRequests
    this.repair = {
      ...walk,
      now,
      ownerOf: ownerFinder(walk.import ?? walk.owner),
    }
  }

  result(): StepResult {
    return {
      state: this.state,
      isDone: this.ended !== null,
      toDrop: this.toDrop,
      ended: this.ended,
      failure: this.failure,
    }
  }

  /** Stops the walk. Everything else in the state stays as it was before this step. */
  stop(reason: StopReason): StepResult {
    this.state = { ...this.state, stopped: { reason, at: this.now.toISOString() } }
    return this.result()
  }

  /** Stops the walk, but if the index may be late, only when that has been so for long enough. */
  doubt(reason: StopReason): void {
    const { lagSeconds = 0 } = this.walk.index
    const now = this.now.getTime()
    const doubtedAt = this.before.doubtedAt ?? now
    if (now - doubtedAt >= 1500 * lagSeconds) return void this.stop(reason)
    this.set({ doubtedAt })
    const why = new Error(`Upkeep looks again, and then stops: ${reason}.`)
    this.failure ??= indexUnavailable(why, 1.5 * lagSeconds)
  }

  /** Remembers the first failure, and counts those at the same place. */
  fail(error: unknown): void {
    const failure =
      error instanceof IndexFailure
        ? (asApiError(error.cause) ?? indexUnavailable(error.cause))
        : failureOf(error)
    this.failure ??= failure
    const { after, marker, phase } = this.before
    const { phase: current, ...state } = this.state
    const isSame = state.after === after && state.marker === marker && current === phase
    const failures = isSame ? this.before.failures + 1 : 1
    this.set({ failures })
    // The cursor may have expired.
    if (error instanceof IndexFailure && failures >= MAX_FAILURES)
      this.set({ indexCursor: null, failures: 0 })
    if (failures >= MAX_FAILURES && !LATER.includes(failure.reason)) this.giveUp(current)
  }

  /** Leaves out what can't be listed, so that the pass ends. */
  giveUp(phase: WalkState['phase']): void {
    const { counts } = this.state
    if (phase === 'uploads') this.skipUploads()
    if (phase !== 'entries') return
    this.set({ counts: { ...counts, foreign: null } })
    this.end()
  }

  skipUploads(): void {
    const counts = { ...this.state.counts, oldUploads: null }
    this.set({ counts, phase: 'entries', marker: null, failures: 0 })
  }

  set(changes: Partial<WalkState>): void {
    this.state = { ...this.state, ...changes }
  }

  add(added: Added): void {
    this.set({ counts: sum(this.state.counts, added) })
  }

  /** Takes requests to the bucket and operations of the index. Returns false, and takes nothing, without room. */
  take(requests: number, operations = 0): boolean {
    const index = this.walk.operations
    if (this.requests < requests || index.left < operations) return false
    this.requests -= requests
    index.left -= operations
    return true
  }

  /** Takes operations of the index that the step can't do without. */
  use(operations: number): void {
    this.walk.operations.left -= operations
  }

  /** Tells whether there is no time for another repair. */
  get isLate(): boolean {
    return Date.now() >= this.endsAt
  }

  get writes(): boolean {
    return this.walk.mode !== 'report'
  }

  isManaged(key: ObjectKey): boolean {
    const { bucket, import: imported } = this.walk
    return (
      imported !== null ||
      isNewObjectKey(key) ||
      bucket.managedPrefixes.some((prefix) => key.startsWith(prefix))
    )
  }

  /** Tells whether a failed item is passed over: it can't be stored, or has failed again and again. */
  isPassed(reason: unknown, isFirst: boolean): boolean {
    const known = asApiError(reason)
    if (known?.code === 'key_not_indexable') {
      this.add({ refused: 1 })
      return true
    }
    if (!isFirst || this.before.failures + 1 < MAX_FAILURES) return false
    // These are not about the key.
    if (LATER.includes(known?.reason)) return false
    this.failure ??= failureOf(reason)
    this.add({ failed: 1 })
    return true
  }

  /** Ends the pass. The state is then that of the next one. */
  end(): void {
    const { mode, import: imported } = this.walk
    const { startedAt, counts, accepted, nextWitnesses, last } = this.state
    this.ended = { mode, startedAt, endedAt: this.now.toISOString(), counts }
    const next = startWalk(this.walk, this.now, this.state)
    if (imported !== null) {
      this.state = next
      return
    }
    // What a person has accepted stays accepted until the walk has worked it off.
    const still = reasonsIn(last, { counts, isListDone: true }).filter(
      (reason) => reason !== 'shorter list' && accepted.includes(reason),
    )
    this.state = { ...next, accepted: still, last: this.ended, witnesses: nextWitnesses }
  }
}

export const failureOf = (error: unknown): ApiError =>
  asApiError(error) ?? new ApiError('internal', 'Upkeep failed.', { cause: error })

export function sum(counts: Counts, added: Added): Counts {
  const result: Record<string, number | null> = { ...counts }
  for (const [name, more] of Object.entries(added)) result[name] = (result[name] ?? 0) + more
  return { ...counts, ...result }
}
