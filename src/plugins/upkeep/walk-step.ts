import { type Change, type Inference, infer, keptRecord, type Place } from '../../core/reconcile.ts'
import { ApiError, asApiError } from '../../errors/api-error.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import { type ObjectKey, parseObjectKey } from '../../keys/object-key.ts'
import { indexUnavailable } from '../../records/file-index.ts'
import type { Sql } from '../../records/sql.ts'
import { TIMEOUT_SECONDS } from '../../storage/s3.ts'
import { IndexFailure } from './merge.ts'
import { type OwnerTemplate, ownerFinder } from './options.ts'
import {
  type Counts,
  type PassSummary,
  type StopReason,
  startPass,
  type WalkState,
} from './state.ts'
import { type FoundKey, forgetCollected, forgetFound, tryAgain, type WalkStore } from './store.ts'

/** What a walk through one bucket needs. */
export interface Walk {
  /** Its name in the store. */
  readonly name: string
  readonly store: Pick<WalkStore, 'due' | 'failed' | 'status'>
  /** Its bucket has the access keys of the walk. */
  readonly place: Omit<Place, 'now'>
  /** Aliases that are configured, and the other ones of this bucket. What these have recorded is not recorded here. */
  readonly aliases: readonly string[]
  readonly siblings: readonly string[]
  /** Whether this is the first alias of its bucket: only then it records and aborts. */
  readonly isFirst: boolean
  /** Whose files are recorded. */
  readonly owner: OwnerTemplate
  /** Objects that a page may have. */
  readonly pageSize: number
  /** Requests to the bucket, and operations of the index, that a step may make. */
  readonly maxRequests: number
  readonly maxOperations: number
  /** Requests that an event needs: a webhook without a queue is one. */
  readonly eventRequests: number
  /** Seconds between steps for which nobody waits. */
  readonly pauseSeconds: number
}

/** What a step leaves: the state, and what else the store is to change with it. */
export interface WalkStepResult {
  readonly state: WalkState
  readonly changes: readonly Sql[]
}

/** Age in seconds from which an object is recorded: as long as an upload URL can be valid, so that clients come first. */
const GRACE_SECONDS = 3600
/** An import has no client. */
const IMPORT_GRACE_SECONDS = 600
/** After this time, nobody can finish an upload in parts: its id is valid for seven days. */
export const MAX_UPLOAD_SECONDS = 8 * 86_400
/** Seconds until what a pass has collected gets its second look. */
export const SECOND_LOOK_SECONDS = 600

/** A step begins nothing after this time, half of a lease. */
const STEP_MILLISECONDS = 60_000
/** Nothing begins this shortly before a request's deadline: one request may take as long. */
const LAST_MILLISECONDS = TIMEOUT_SECONDS * 1000
const AT_ONCE = 6
/** What a look at a key needs at most, apart from rare repeats: D1 and KV need up to three operations to store a record. */
const LOOK_REQUESTS = 4
const LOOK_OPERATIONS = 6
/** Keys of one step that may fail while none succeeds: then the error is not about them. */
const MAX_FAILED_KEYS = 3
/** After this many failures in a row at one place, the walk passes over what it can do without. */
const MAX_FAILURES = 3
/** The longest pause between two tries of a key, and of a step. */
const MAX_WAIT_SECONDS = 86_400
const MAX_PAUSE_SECONDS = 3600

/** Tells whether an error says nothing about one key: such as an access key that the bucket refuses. */
const isAboutAll = ({ code }: ApiError): boolean => code === 'misconfigured'

/** What may happen to a key before a pass has ended. */
const AT_ONCE_CHANGES: readonly Change[] = ['recorded', 'returned', 'updated']

/** How each change counts. */
const COUNTED = {
  recorded: 'recorded',
  returned: 'returned',
  updated: 'updated',
  replaced: 'corrected',
  removed: 'dropped',
} as const satisfies Record<Change, keyof Counts>

/** Counts that grow. */
export type Added = Partial<Record<keyof Counts, number>>

/** A step of a walk: what it has done so far, and what it may still use. */
export class WalkStep {
  readonly walk: Walk
  readonly now: Date
  readonly before: WalkState
  state: WalkState
  readonly changes: Sql[] = []
  /** Whether the pass waits for keys to be due. */
  isWaiting = false
  readonly #endsAt: number
  readonly #ownerOf: (key: ObjectKey) => string | null
  #requests: number
  #operations: number
  #worked = 0
  #failed = 0
  #waitSeconds = 0

  constructor(walk: Walk, state: WalkState, now: Date) {
    this.walk = walk
    this.now = now
    this.before = state
    this.state = state
    this.#endsAt = Math.min(Date.now() + STEP_MILLISECONDS, deadlineOf(now) - LAST_MILLISECONDS)
    this.#ownerOf = ownerFinder(state.order.import === null ? walk.owner : state.order.import.owner)
    this.#requests = walk.maxRequests
    this.#operations = walk.maxOperations
  }

  /** Returns the state, with when the next step is due, and what else is to be stored. */
  result(): WalkStepResult {
    const { phase, stopped, order } = this.state
    const { pauseSeconds } = this.walk
    const pause = Math.max(order.isWaited ? 0 : pauseSeconds, this.#failed > 0 ? 60 : 0)
    const isOver = stopped !== null || phase === 'idle' || this.isWaiting
    const seconds = Math.max(pause, this.#waitSeconds)
    const nextAt = isOver ? null : this.now.getTime() + 1000 * seconds
    return { state: { ...this.state, nextAt }, changes: this.changes }
  }

  get place(): Place {
    return { ...this.walk.place, now: this.now }
  }

  get writes(): boolean {
    return this.state.order.mode !== 'report' && this.state.stopped === null
  }

  /** Whether nothing else is to begin: there is no time left, or each key fails. */
  get isOver(): boolean {
    return Date.now() >= this.#endsAt || (this.#failed >= MAX_FAILED_KEYS && this.#worked === 0)
  }

  /** Seconds since a date, in milliseconds since 1970. */
  age(time: number): number {
    return (this.now.getTime() - time) / 1000
  }

  /**
   * Returns the age from which an object is recorded. On AWS, the date of an upload in parts is that of its start. Workers
   * KV may not show that a client has just confirmed it, so this waits until nobody can finish such an upload.
   */
  graceOf({ etag }: { readonly etag: string }): number {
    if (this.state.order.import !== null) return IMPORT_GRACE_SECONDS
    const { lagSeconds = 0 } = this.walk.place.index
    return lagSeconds > 0 && /-\d+"?$/.test(etag) ? MAX_UPLOAD_SECONDS : GRACE_SECONDS
  }

  isManaged(key: ObjectKey): boolean {
    return (
      this.state.order.import !== null ||
      isNewObjectKey(key) ||
      this.walk.place.bucket.managedPrefixes.some((prefix) => key.startsWith(prefix))
    )
  }

  /** Tells whether this walk records an object under this key, if nobody else has. */
  isOurs(key: ObjectKey): boolean {
    return this.walk.isFirst && !key.endsWith('/') && this.isManaged(key)
  }

  /** Counts a confirmed record. */
  confirm(isOdd: boolean): void {
    const { records, odd } = this.state.confirmed
    this.set({ confirmed: { records: records + 1, odd: odd + Number(isOdd) } })
  }

  /**
   * Makes the index agree with the bucket for keys, six at once and in order, as far as there is room. Returns
   * how many are done: what fails is tried again later. Throws what is not about a key.
   */
  async look(keys: readonly FoundKey[]): Promise<number> {
    const requests = LOOK_REQUESTS + this.walk.eventRequests
    // The page has just asked for what the other aliases have recorded.
    const asked = keys.some(({ tries }) => tries > 0) ? 2 * this.walk.siblings.length : 0
    const operations = LOOK_OPERATIONS + asked
    let done = 0
    while (done < keys.length && !this.isOver) {
      // At least one in a step, so that the walk goes on.
      const isFirst = this.#worked + this.#failed === 0
      const chunk = keys
        .slice(done, done + AT_ONCE)
        .filter((_, i) => this.take(requests, operations) || (isFirst && i === 0))
      if (chunk.length === 0) break
      const results = await Promise.allSettled(chunk.map((found) => this.#lookAt(found)))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      done += chunk.length
    }
    return done
  }

  async #lookAt(found: FoundKey): Promise<void> {
    const { name, siblings, place } = this.walk
    const { key: text, kind, tries } = found
    try {
      const key = parseObjectKey(text)
      let isElsewhere = false
      for (const alias of tries > 0 ? siblings : [])
        isElsewhere ||=
          (await place.index.get(alias, key)) !== null ||
          (await keptRecord(place.index, alias, key, this.now)) !== null
      const may = (change: Change) =>
        (kind === 'collected' || kind === 'change' || AT_ONCE_CHANGES.includes(change)) &&
        !(change === 'recorded' && (isElsewhere || !this.isOurs(key)))
      const options: Inference = { ownerOf: this.#ownerOf, may }
      const { outcome, isDue } = await infer(this.place, key, {
        ...options,
        ...(kind !== 'update' && { wait: this.#wait }),
      })
      this.#worked += 1
      if (!isDue && outcome in COUNTED) this.add({ [COUNTED[outcome as Change]]: 1 })
    } catch (error) {
      const failure = failureOf(error)
      if (isAboutAll(failure)) throw error
      if (failure.code !== 'key_not_indexable') return this.#failedAt(found, failure)
      this.add({ refused: 1 })
    }
    if (tries > 0 || kind === 'collected') this.changes.push(forgetFound(name, [text]))
  }

  /** Seconds until a key may change: a client may be at work, and a bucket that is late may not show it. */
  #wait: NonNullable<Inference['wait']> = (object, record) =>
    Math.max(
      0,
      object === null ? 0 : this.graceOf(object) - this.age(object.lastModified.getTime()),
      record ? SECOND_LOOK_SECONDS - this.age(Date.parse(record.createdAt)) : 0,
    )

  /** Does what is about something else than a key. A failure is only counted: the next pass tries again. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.#worked += 1
    } catch (error) {
      const failure = failureOf(error)
      if (isAboutAll(failure)) throw error
      this.#failed += 1
      this.add({ failed: 1 })
      this.#note(failure)
    }
  }

  #failedAt({ key, kind, tries }: FoundKey, failure: ApiError): void {
    this.#failed += 1
    this.#waitSeconds = Math.max(this.#waitSeconds, failure.retryAfterSeconds ?? 0)
    if (tries === 0) this.add({ failed: 1 })
    const seconds = Math.min(MAX_WAIT_SECONDS, 60 * 2 ** tries)
    const found = { key, kind: kind === 'collected' ? 'change' : kind, tries: tries + 1 } as const
    this.changes.push(tryAgain(this.walk.name, found, this.now.getTime() + 1000 * seconds))
    this.#note(failure)
  }

  /** Remembers a failure that is not about one key: the next step tries again, later and later. */
  fail(error: unknown): void {
    const failure = failureOf(error)
    const { after, marker, phase } = this.before
    const { state } = this
    const isSame = state.after === after && state.marker === marker && state.phase === phase
    const failures = isSame ? this.before.failures + 1 : 1
    this.#waitSeconds = Math.max(this.#waitSeconds, secondsAfter(failures, failure))
    this.set({ failures })
    this.#note(failure)
    if (failures < MAX_FAILURES || isAboutAll(failure)) return
    // The cursor may have expired.
    if (error instanceof IndexFailure) this.set({ indexCursor: null })
    this.skip(phase)
  }

  #note(failure: ApiError): void {
    this.set({ failure: plainFailure(failure, this.now) })
  }

  /** Leaves out what can't be listed, so that the pass ends. */
  skip(phase: WalkState['phase']): void {
    const { counts } = this.state
    if (phase === 'entries')
      this.set({ counts: { ...counts, foreign: null }, phase: 'acting', marker: null, failures: 0 })
    if (phase !== 'uploads') return
    this.set({ counts: { ...counts, oldUploads: null } })
    this.end()
  }

  /** Stops the walk until a person lets it go on. */
  stop(reason: StopReason): void {
    this.set({ stopped: { reason, at: this.now.toISOString() } })
  }

  /** Stops the walk. If the index may have been late, only after another pass. */
  doubt(reason: StopReason): void {
    const { lagSeconds = 0 } = this.walk.place.index
    const { order, identity, startedAt, isDoubted } = this.state
    if (isDoubted || lagSeconds === 0) {
      this.stop(reason)
      return
    }
    // `startedAt` stays, so that whoever waits for this pass sees the same one.
    this.state = { ...startPass(order, identity, this.now, this.state), startedAt, isDoubted: true }
    this.changes.push(forgetCollected(this.walk.name))
    this.#waitSeconds = 1.5 * lagSeconds
  }

  /** Ends the pass. */
  end(): void {
    const { order, startedAt, counts, held } = this.state
    const last: PassSummary = {
      mode: order.mode,
      startedAt,
      endedAt: this.now.toISOString(),
      counts,
    }
    this.set({ phase: 'idle', marker: null, accepted: [], isDoubted: false, last, stopped: held })
  }

  set(changes: Partial<WalkState>): void {
    this.state = { ...this.state, ...changes }
  }

  add(added: Added): void {
    this.set({ counts: sum(this.state.counts, added) })
  }

  /** Takes requests to the bucket and operations of the index. Returns false, and takes nothing, without room. */
  take(requests: number, operations = 0): boolean {
    if (this.#requests < requests || this.#operations < operations) return false
    this.use(requests, operations)
    return true
  }

  /** Takes what the step can't do without. */
  use(requests: number, operations: number): void {
    this.#requests -= requests
    this.#operations -= operations
  }
}

/** Returns the state after a step that could not begin. */
export function failedState(state: WalkState, error: unknown, now: Date): WalkState {
  const failure = failureOf(error)
  const failures = state.failures + 1
  const nextAt = now.getTime() + 1000 * secondsAfter(failures, failure)
  return { ...state, failures, failure: plainFailure(failure, now), nextAt }
}

const secondsAfter = (failures: number, { retryAfterSeconds = 0 }: ApiError): number =>
  Math.max(retryAfterSeconds, Math.min(MAX_PAUSE_SECONDS, 2 ** failures))

const plainFailure = ({ code, reason, message }: ApiError, now: Date) => ({
  code,
  ...(reason && { reason }),
  message,
  at: now.toISOString(),
})

const failureOf = (error: unknown): ApiError =>
  error instanceof IndexFailure
    ? (asApiError(error.cause) ?? indexUnavailable(error.cause))
    : (asApiError(error) ?? new ApiError('internal', 'Upkeep failed.', { cause: error }))

export function sum(counts: Counts, added: Added): Counts {
  const result: Record<string, number | null> = { ...counts }
  for (const [name, more] of Object.entries(added)) result[name] = (result[name] ?? 0) + more
  return { ...counts, ...result }
}
