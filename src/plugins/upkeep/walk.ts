import * as z from 'zod/mini'
import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { type Announce, statusOf } from '../../core/record.ts'
import { ApiError, asApiError, type ErrorCode } from '../../errors/api-error.ts'
import { deadlineOf } from '../../errors/deadline.ts'
import { byUtf8, utf8Length } from '../../keys/encodings.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileIndex, getMany, indexUnavailable } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import {
  abortMultipartUpload,
  type ListedUpload,
  listUploadsPage,
} from '../../storage/multipart.ts'
import { headObject } from '../../storage/object.ts'
import { TIMEOUT_SECONDS } from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import {
  identityOf,
  isRecent,
  mayExpire,
  reasonsIn,
  stopAfterLook,
  stopAtStart,
  stopAtWitnesses,
  type Testimony,
  withWitness,
} from './brake.ts'
import { IndexFailure, type Item, readStretch } from './merge.ts'
import { ownerFinder } from './owner.ts'
import {
  ageIn,
  correctRecord,
  dropRecord,
  expireObject,
  GRACE_SECONDS,
  graceOf,
  isListed,
  lookAgain,
  MAX_UPLOAD_SECONDS,
  type Repair,
  recordObject,
} from './repair.ts'
import {
  type Counts,
  type Import,
  type Mode,
  type PassSummary,
  SECOND_LOOK_SECONDS,
  type StepResult,
  type StopReason,
  type Suspect,
  type WalkState,
} from './state.ts'

/** What a walk through one bucket needs. */
export interface Walk {
  /** Its `credentials` and `uploadCredentials` are those of the pair that walks. */
  readonly bucket: Bucket
  /** Aliases that are configured. */
  readonly aliases: readonly string[]
  /**
   * Other aliases of the same address. An object with a record under one of them is not recorded here.
   */
  readonly siblings: readonly string[]
  /**
   * Other aliases of buckets of the same name, which may be this one. An object with a record under one of
   * them does not expire here.
   */
  readonly namesakes: readonly string[]
  /** Whether this is the first alias of its address: only then it records, expires and aborts. */
  readonly isFirst: boolean
  readonly index: FileIndex
  readonly purge: (bucket: ConfiguredBucket, keys: readonly ObjectKey[]) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
  readonly mode: Mode
  /** With mode `expire`. */
  readonly expireSeconds: number
  /** Whose files are recorded: a template as in `Import`, or null. */
  readonly owner: Pick<Import, 'owner' | 'ownerAs'> | null
  readonly import: Import | null
  /** Objects that a page may have, and requests to the bucket that a step may make. */
  readonly pageSize: number
  readonly maxRequests: number
  /** Operations of the index that are left, for all steps of a run. Steps take from it. */
  readonly operations: { left: number }
  /** Requests that an event needs: a webhook without a queue is one. */
  readonly eventRequests: number
  /**
   * Keeps records that are about to be dropped, for 30 days. Null if nobody does: then a step returns them
   * in `toDrop`, and the next one drops them.
   */
  readonly keep: ((records: readonly FileRecord[], now: Date) => Promise<void>) | null
}

/** Suspects of one state, and their size in JSON. */
const MAX_SUSPECTS = 1000
const MAX_SUSPECTS_LENGTH = 200 * 1024
/** Second looks of one step, and the requests of each to the bucket: a HEAD has two for a missing object. */
const MAX_LOOKS = 8
const LOOK_REQUESTS = 3
/** What a second look, the start of a pass and a page need of the index at most. */
const LOOK_OPERATIONS = 4
const BEGIN_OPERATIONS = 4
const PAGE_OPERATIONS = 5
/** Keys that one operation of Workers KV asks for. */
const KEYS_OF_OPERATION = 100
/** After so many failures at one place, the walk passes over it. */
const MAX_FAILURES = 3
const AT_ONCE = 6
/** A step begins no more repairs after this time: half of a lease, ... */
const STEP_MILLISECONDS = 60_000
/** ... nor so shortly before the deadline of its request: one to the bucket may take so long. */
const LAST_MILLISECONDS = TIMEOUT_SECONDS * 1000

const NO_COUNTS: Counts = {
  ...{ objects: 0, records: 0, unrecorded: 0, young: 0, unmanaged: 0, different: 0, gone: 0 },
  ...{
    unconfirmed: 0,
    expirable: 0,
    oldUploads: 0,
    unreadable: 0,
    foreign: 0,
    refused: 0,
    failed: 0,
  },
  ...{ recorded: 0, corrected: 0, dropped: 0, expired: 0, aborted: 0 },
}

/**
 * Returns the state before the first step of a pass. With the state of an earlier walk through this
 * bucket, keeps what it has learned.
 */
export const startWalk = (
  walk: Walk,
  now: Date,
  last: WalkState | null | undefined = null,
): WalkState => ({
  version: 1,
  bucket: walk.bucket.alias,
  identity: last?.identity ?? identityOf(walk.bucket),
  witnesses: last?.witnesses ?? [],
  nextWitnesses: [],
  phase: 'objects',
  pages: 0,
  after: null,
  indexCursor: null,
  marker: null,
  startedAt: now.toISOString(),
  counts: NO_COUNTS,
  recent: { confirmed: 0, unconfirmed: 0 },
  suspects: last?.suspects ?? [],
  announced: last?.announced ?? [],
  failures: 0,
  stopped: last?.stopped ?? null,
  accepted: last?.accepted ?? [],
  isRebuilt: false,
  last: last?.last ?? null,
})

/** Returns when the next record gets its second look, in milliseconds since 1970, or null. */
export const lookAgainAt = ({ suspects }: WalkState): number | null =>
  suspects.length === 0
    ? null
    : Math.min(...suspects.map(({ seenAt }) => seenAt)) + SECOND_LOOK_SECONDS * 1000

/** Returns the state in which a walk goes on that the brake has stopped: a person has looked. */
export const goOn = (state: WalkState): WalkState =>
  state.stopped === null
    ? state
    : { ...state, stopped: null, accepted: [...state.accepted, state.stopped.reason] }

/**
 * Does the next step of a walk. Resolves with a `failure` if a part of it failed: `state` has what is done.
 * Never does anything that another run of the same step, at the same time or later, makes wrong.
 */
export async function stepWalk(walk: Walk, state: WalkState, now: Date): Promise<StepResult> {
  // A person has accepted another bucket, of which nothing is known.
  const isAccepted = state.stopped === null && state.accepted.includes('another bucket')
  const isOther = isAccepted && state.identity !== identityOf(walk.bucket)
  const step = new Step(walk, isOther ? startWalk(walk, now) : state, now)
  if (state.stopped !== null) return step.result()
  const reason = stopAtStart(state, walk.bucket)
  if (reason !== null) return step.stop(reason)
  try {
    await step.run()
  } catch (error) {
    step.fail(error)
  }
  return step.result()
}

/** Counts that grow. */
type Added = Partial<Record<keyof Counts, number>>

class Step {
  readonly #walk: Walk
  readonly #repair: Repair
  readonly #now: Date
  readonly #before: WalkState
  /** In milliseconds since 1970. */
  readonly #endsAt: number
  #state: WalkState
  #requests: number
  #toDrop: FileRecord[] = []
  #ended: PassSummary | null = null
  #failure: ApiError | null = null
  /** The size of all suspects in JSON, and of those that are no longer there. */
  #suspectsLength: number | undefined

  constructor(walk: Walk, state: WalkState, now: Date) {
    this.#walk = walk
    this.#now = now
    this.#before = state
    this.#endsAt = Math.min(Date.now() + STEP_MILLISECONDS, deadlineOf(now) - LAST_MILLISECONDS)
    this.#state = state
    this.#requests = walk.maxRequests
    let since: Promise<Date | null> | undefined
    this.#repair = {
      ...walk,
      now,
      ownerOf: ownerFinder(walk.import ?? walk.owner),
      statusOf: async ({ lastModified }) => {
        // Workers KV may hide what somebody has just confirmed, and this record replaces that.
        if (!walk.index.isConditional) return 'found'
        if (walk.import !== null || this.#isOldLoss(lastModified.getTime())) return 'found'
        // The alias may be new, and the object confirmed under an older one.
        if (state.last === null || state.last.mode === 'report') return 'found'
        since ??= Promise.resolve(walk.index.since?.(null) ?? null)
        return statusOf(lastModified, now, await since)
      },
    }
  }

  result(): StepResult {
    return {
      state: this.#state,
      isDone: this.#ended !== null,
      toDrop: this.#toDrop,
      ended: this.#ended,
      failure: this.#failure,
    }
  }

  /** Stops the walk. Everything else in the state stays as it was before this step. */
  stop(reason: StopReason): StepResult {
    this.#state = { ...this.#state, stopped: { reason, at: this.#now.toISOString() } }
    return this.result()
  }

  /** Stops the walk, but if the index may be late, only when that has been so for long enough. */
  #doubt(reason: StopReason): void {
    const { lagSeconds = 0 } = this.#walk.index
    const now = this.#now.getTime()
    const doubtedAt = this.#before.doubtedAt ?? now
    if (now - doubtedAt >= 1500 * lagSeconds) return void this.stop(reason)
    this.#set({ doubtedAt })
    const why = new Error(`Upkeep looks again, and then stops: ${reason}.`)
    this.#failure ??= indexUnavailable(why, 1.5 * lagSeconds)
  }

  /** Remembers the first failure, and counts those at the same place. */
  fail(error: unknown): void {
    const failure =
      error instanceof IndexFailure
        ? (asApiError(error.cause) ?? indexUnavailable(error.cause))
        : failureOf(error)
    this.#failure ??= failure
    const { after, marker, phase } = this.#before
    const { phase: current, ...state } = this.#state
    const isSame = state.after === after && state.marker === marker && current === phase
    const failures = isSame ? this.#before.failures + 1 : 1
    this.#set({ failures })
    // The cursor may have expired.
    if (error instanceof IndexFailure && failures >= MAX_FAILURES)
      this.#set({ indexCursor: null, failures: 0 })
    if (failures >= MAX_FAILURES && !LATER.includes(failure.code)) this.#giveUp(current)
  }

  /** Leaves out what can't be listed, so that the pass ends. */
  #giveUp(phase: WalkState['phase']): void {
    const { counts } = this.#state
    if (phase === 'uploads') this.#skipUploads()
    if (phase !== 'entries') return
    this.#set({ counts: { ...counts, foreign: null } })
    this.#end()
  }

  #skipUploads(): void {
    const counts = { ...this.#state.counts, oldUploads: null }
    this.#set({ counts, phase: 'entries', marker: null, failures: 0 })
  }

  #set(changes: Partial<WalkState>): void {
    this.#state = { ...this.#state, ...changes }
  }

  #add(added: Added): void {
    this.#set({ counts: sum(this.#state.counts, added) })
  }

  /** Takes requests to the bucket and operations of the index. Returns false, and takes nothing, without room. */
  #take(requests: number, operations = 0): boolean {
    const index = this.#walk.operations
    if (this.#requests < requests || index.left < operations) return false
    this.#requests -= requests
    index.left -= operations
    return true
  }

  /** Takes operations of the index that the step can't do without. */
  #use(operations: number): void {
    this.#walk.operations.left -= operations
  }

  /** Tells whether there is no time for another repair. */
  get #isLate(): boolean {
    return Date.now() >= this.#endsAt
  }

  get #writes(): boolean {
    return this.#walk.mode !== 'report'
  }

  /** Whether an object of this date was old enough in the last pass: then its record is lost. */
  #isOldLoss(time: number): boolean {
    const { isRebuilt, last } = this.#state
    return (
      isRebuilt ||
      (last !== null &&
        last.mode !== 'report' &&
        time + GRACE_SECONDS * 1000 < Date.parse(last.startedAt))
    )
  }

  /** Tells whether an object had a record in the last pass, as far as that can be known. */
  #isLost({ item: { key, object }, action }: Found): boolean {
    const { bucket, index } = this.#walk
    if (action !== 'record' || object === null) return false
    try {
      index.requireIndexable?.(bucket.alias, key)
    } catch {
      return false // it never had one
    }
    return this.#isOldLoss(Date.parse(object.lastModified))
  }

  async run(): Promise<void> {
    const { phase, pages } = this.#state
    if (phase === 'objects' && pages === 0) {
      const reason = await this.#begin()
      if (reason !== null) return this.#doubt(reason)
    }
    if (this.#writes && this.#walk.import === null) await this.#lookAgain()
    if (phase === 'objects') await this.#walkObjects()
    else if (phase === 'uploads') await this.#walkUploads()
    else await this.#walkEntries()
  }

  /** Asks the witnesses of the last pass, before this one begins. */
  async #begin(): Promise<StopReason | null> {
    const { bucket, index, import: imported } = this.#walk
    this.#set({ startedAt: this.#now.toISOString() })
    this.#use(BEGIN_OPERATIONS)
    await index.since?.(this.#writes ? this.#now : null)
    if (!this.#writes || imported !== null) return null
    const { witnesses } = this.#before
    let lost = 0
    const testimonies = await sixAtOnce(witnesses, async ({ key, etag }): Promise<Testimony> => {
      const known = await index.get(bucket.alias, key)
      if (known !== null && known.etag !== etag) return null
      this.#take(2)
      const isThere = (await headObject(bucket, key, this.#now))?.etag === etag
      if (known === null) {
        if (isThere) lost += 1
        return null
      }
      return isThere ? 'is there' : 'is missing'
    })
    if (lost > 0 && lost === testimonies.length) this.#set({ isRebuilt: true })
    return stopAtWitnesses(this.#state, testimonies)
  }

  /** Takes a second look at suspects, and drops the records whose objects are still missing. */
  async #lookAgain(): Promise<void> {
    const { keep, eventRequests } = this.#walk
    const requests = LOOK_REQUESTS + eventRequests
    const now = this.#now.getTime()
    const { announced, suspects } = this.#state
    const due = suspects
      .filter(({ seenAt }) => now - seenAt >= SECOND_LOOK_SECONDS * 1000)
      .sort(
        (one, other) => Number(announced.includes(other.key)) - Number(announced.includes(one.key)),
      )
      .slice(0, this.#looks(requests))
    const told: ObjectKey[] = []
    await sixAtOnce(due, async (suspect) => {
      const { key } = suspect
      this.#take(requests, LOOK_OPERATIONS)
      let seenAt: number | null = null
      try {
        const record = await lookAgain(this.#repair, suspect)
        if (record === null) return
        if (keep === null && !announced.includes(key)) {
          this.#toDrop.push(record)
          told.push(key)
          seenAt = suspect.seenAt
          return
        }
        if (keep !== null) await keep([record], this.#now)
        await dropRecord(this.#repair, record)
        this.#add({ dropped: 1 })
      } catch (error) {
        // It gets its next look later, so that the walk goes on.
        seenAt = now
        if (announced.includes(key)) told.push(key)
        this.#failure ??= failureOf(error)
      } finally {
        const others = this.#state.suspects.filter((other) => other.key !== key)
        this.#set({ suspects: seenAt === null ? others : [...others, { ...suspect, seenAt }] })
      }
    })
    const waiting = suspects.filter((suspect) => !due.includes(suspect))
    const rest = announced.filter((key) => waiting.some((suspect) => suspect.key === key))
    this.#set({ announced: [...rest, ...told] })
  }

  /** Returns how many second looks there is room for, with as much left for the page. */
  #looks(requests: number): number {
    const { left } = this.#walk.operations
    const half = Math.min(this.#requests / requests, left / LOOK_OPERATIONS) / 2
    return Math.max(0, Math.min(MAX_LOOKS, Math.floor(half)))
  }

  async #walkObjects(): Promise<void> {
    const { bucket, index, pageSize, import: imported } = this.#walk
    this.#take(1)
    this.#use(PAGE_OPERATIONS)
    const prefix = imported?.prefix ?? ''
    const stretch = await readStretch(bucket, index, this.#state, prefix, pageSize, this.#now)
    const { items, until } = stretch
    const elsewhere = await this.#recordedElsewhere(items)
    const found = items.map((item) => this.#find(item, elsewhere))
    if (imported === null) {
      const counts = found.reduce((counts, { added }) => sum(counts, added), this.#state.counts)
      const reason = stopAfterLook(this.#state, { counts, isListDone: stretch.isListDone })
      if (reason !== null) return this.#doubt(reason)
    }
    if (found.some((one) => this.#isLost(one))) this.#set({ isRebuilt: true })
    const { finished, error } = await this.#settle(found)
    if (error !== null) this.#failure ??= failureOf(error)
    const { after } = this.#state
    const isAll = finished === found.length
    const last = isAll ? until : (found[finished - 1]?.item.key ?? after ?? '')
    const done = last === null ? null : byUtf8(last, after ?? '') > 0 ? last : (after ?? '')
    const { cursor, unreadable } = stretch.indexAfter(done)
    const ofIndex = index.strayEntries === undefined || imported !== null ? unreadable : 0
    this.#add({ unreadable: ofIndex + (isAll ? stretch.unreadable : 0) })
    const { pages, nextWitnesses, failures } = this.#state
    const failed = finished === 0 ? failures + 1 : 1
    const pairs = found
      .slice(0, finished)
      .filter(({ item, action }) => action === null && item.object !== null && item.record !== null)
    // A small bucket has only one page, and somebody may delete one of its objects.
    const places = pages === 0 ? [0, pairs.length >> 1, pairs.length - 1] : [0]
    const chosen = new Set(places.map((place) => pairs[place]?.item))
    const { doubtedAt: _, ...state } = this.#state
    this.#state = state
    this.#set({
      pages: pages + 1,
      after: done === '' ? null : done,
      indexCursor: cursor,
      failures: error === null ? 0 : failed,
      nextWitnesses: [...chosen].reduce(
        (all, item) =>
          withWitness(all, pages, item && { key: item.key, etag: item.record?.etag ?? '' }),
        nextWitnesses,
      ),
    })
    if (done !== null) return
    if (imported !== null) this.#end()
    else this.#set({ phase: 'uploads', failures: 0, after: null, indexCursor: null, marker: null })
  }

  /** Returns the keys without a record here that have one under another alias of the bucket. */
  async #recordedElsewhere(items: readonly Item[]): Promise<ReadonlySet<string>> {
    const { index, siblings, namesakes } = this.#walk
    const found = new Set<string>()
    const look = async (aliases: readonly string[], isAsked: (item: Item) => boolean) => {
      const keys = items.filter(isAsked).map(({ key }) => key)
      this.#use(aliases.length * Math.ceil(keys.length / KEYS_OF_OPERATION))
      for (const alias of aliases)
        for (const { key } of await getMany(index, alias, keys)) found.add(key)
    }
    await look(siblings, ({ object, record }) => object !== null && record === null)
    await look(
      namesakes,
      ({ object, record }) => object !== null && record?.status === 'unconfirmed',
    )
    return found
  }

  /** Returns what an item counts as, and what is to be done about it. Changes nothing. */
  #find(item: Item, elsewhere: ReadonlySet<string>): Found {
    const { expireSeconds, mode, import: imported, isFirst } = this.#walk
    const { key, object, record } = item
    const is = (added: Added, action: Action | null = null): Found => ({
      item,
      action: mode === 'report' ? null : action,
      added: {
        ...{ objects: object === null ? 0 : 1, records: record === null ? 0 : 1 },
        ...{ unconfirmed: record?.status === 'unconfirmed' ? 1 : 0 },
        ...added,
      },
    })
    const isOld = (date: string, seconds: number) =>
      ageIn(this.#repair, Date.parse(date)) >= seconds
    if (record === null) {
      if (object === null || elsewhere.has(key)) return is({})
      if (!isFirst || key.endsWith('/') || !this.#isManaged(key)) return is({ unmanaged: 1 })
      return isOld(object.lastModified, graceOf(this.#walk, object))
        ? is({ unrecorded: 1 }, 'record')
        : is({ young: 1 })
    }
    if (object === null) {
      if (imported !== null || !isOld(record.createdAt, SECOND_LOOK_SECONDS)) return is({})
      return is({ gone: 1 }, 'suspect')
    }
    if (!isListed(record, object)) {
      const grace = graceOf(this.#walk, object)
      const areOld = isOld(record.createdAt, grace) && isOld(object.lastModified, grace)
      return areOld ? is({ different: 1 }, 'correct') : is({})
    }
    const isExpirable =
      record.status === 'unconfirmed' &&
      expireSeconds > 0 &&
      imported === null &&
      isFirst &&
      isNewObjectKey(key) &&
      !elsewhere.has(key) &&
      isOld(object.lastModified, expireSeconds)
    if (!isExpirable) return is({})
    return is({ expirable: 1 }, mode === 'expire' && mayExpire(this.#state.last) ? 'expire' : null)
  }

  #isManaged(key: ObjectKey): boolean {
    const { bucket, import: imported } = this.#walk
    return (
      imported !== null ||
      isNewObjectKey(key) ||
      bucket.managedPrefixes.some((prefix) => key.startsWith(prefix))
    )
  }

  /**
   * Does what is to be done, six at once, in order, and counts. Returns how many are finished: it ends
   * before the first one that fails, or that would need too many requests.
   */
  async #settle(found: readonly Found[]): Promise<{ finished: number; error: unknown }> {
    let finished = 0
    while (finished < found.length) {
      // One chunk at least, so that the walk goes on.
      const chunk = finished > 0 && this.#isLate ? [] : this.#nextChunk(found, finished)
      if (chunk.length === 0) break
      const results = await Promise.allSettled(chunk.map((one) => this.#act(one)))
      for (const [i, result] of results.entries()) {
        const one = chunk[i]
        if (one === undefined) continue
        if (result.status === 'rejected') {
          if (!this.#isPassed(result.reason, finished === 0))
            return { finished, error: result.reason }
        }
        this.#count(one)
        finished += 1
      }
    }
    return { finished, error: null }
  }

  /** Tells whether a failed item is passed over: it can't be stored, or has failed again and again. */
  #isPassed(reason: unknown, isFirst: boolean): boolean {
    const code = asApiError(reason)?.code
    if (code === 'key_not_indexable') {
      this.#add({ refused: 1 })
      return true
    }
    if (!isFirst || this.#before.failures + 1 < MAX_FAILURES) return false
    // These are not about the key.
    if (code !== undefined && LATER.includes(code)) return false
    this.#failure ??= failureOf(reason)
    this.#add({ failed: 1 })
    return true
  }

  /** Returns the next items, with at most six that need requests. What expires, does so alone. */
  #nextChunk(found: readonly Found[], start: number): Found[] {
    const chunk: Found[] = []
    let busy = 0
    for (let i = start; i < found.length && busy < AT_ONCE; i++) {
      const one = found[i]
      if (one === undefined) break
      const { action } = one
      if (action === 'expire' && busy > 0) break
      const needs = action === null || action === 'suspect' ? null : this.#needsOf(action)
      // At least one, so that the walk goes on.
      if (needs !== null && !this.#take(...needs) && (start > 0 || busy > 0)) break
      chunk.push(one)
      if (needs !== null) busy += 1
      if (action === 'expire') break
    }
    return chunk
  }

  /** Returns the requests and the operations of the index that an action needs, with its event. */
  #needsOf(action: Exclude<Action, 'suspect'>): readonly [requests: number, operations: number] {
    const { eventRequests, siblings, namesakes } = this.#walk
    const [requests, operations] = NEEDS[action]
    const elsewhere = { record: siblings, correct: [], expire: namesakes }[action].length
    return [requests + eventRequests, operations + elsewhere]
  }

  async #act({ item: { key, record, object }, action }: Found): Promise<void> {
    if (action === null || action === 'suspect') return
    if (action === 'record') {
      if (await recordObject(this.#repair, key)) this.#add({ recorded: 1 })
    } else if (record !== null && object !== null) {
      const act = action === 'correct' ? correctRecord : expireObject
      if (await act(this.#repair, key, record))
        this.#add(action === 'correct' ? { corrected: 1 } : { expired: 1 })
    }
  }

  /** Counts a finished item. */
  #count({ item: { key, object, record }, added, action }: Found): void {
    this.#add(added)
    const { suspects, recent } = this.#state
    if (object !== null && record !== null && isNewObjectKey(key)) {
      const isCounted = isRecent(
        Date.parse(object.lastModified),
        this.#walk.expireSeconds,
        this.#now,
      )
      if (isCounted && isConfirmed(record))
        this.#set({ recent: { ...recent, confirmed: recent.confirmed + 1 } })
      else if (isCounted && record.status !== 'found')
        this.#set({ recent: { ...recent, unconfirmed: recent.unconfirmed + 1 } })
    }
    const known = suspects.find((suspect) => suspect.key === key)
    const isSame =
      known !== undefined && known.etag === record?.etag && known.createdAt === record.createdAt
    if (action === 'suspect' && isSame) return
    if (action !== 'suspect' && (known === undefined || object === null)) return
    const others = suspects.filter((suspect) => suspect.key !== key)
    if (action !== 'suspect' || record === null) {
      this.#set({ suspects: others })
      return
    }
    const { etag, createdAt } = record
    const suspect: Suspect = { key, etag, createdAt, seenAt: this.#now.getTime() }
    this.#suspectsLength ??= utf8Length(JSON.stringify(suspects))
    const length = this.#suspectsLength + utf8Length(JSON.stringify(suspect)) + 1
    // The others wait for a later pass.
    const fits = others.length < MAX_SUSPECTS && length <= MAX_SUSPECTS_LENGTH
    if (fits) this.#suspectsLength = length
    this.#set({ suspects: fits ? [...others, suspect] : others })
  }

  /** Counts uploads in parts that nobody can finish any more, and aborts them. */
  async #walkUploads(): Promise<void> {
    const { bucket, pageSize, mode, isFirst } = this.#walk
    const marker = markerIn(this.#state.marker)
    this.#take(1)
    let page: Awaited<ReturnType<typeof listUploadsPage>>
    try {
      page = await listUploadsPage(bucket, marker, this.#now, Math.min(1000, pageSize))
    } catch (error) {
      if (!isRefusal(error)) throw error
      return this.#skipUploads()
    }
    const { uploads, next } = page
    const isOld = ({ key, initiated }: ListedUpload) =>
      this.#isManaged(key) && ageIn(this.#repair, initiated.getTime()) > MAX_UPLOAD_SECONDS
    for (const upload of uploads) {
      const { key, s3UploadId } = upload
      if (isOld(upload)) {
        if (mode === 'expire' && isFirst) {
          // The next step goes on after the last one that is done.
          const isFirstAbort = this.#state.counts.aborted === this.#before.counts.aborted
          if ((!isFirstAbort && this.#isLate) || !this.#take(1)) return
          try {
            await abortMultipartUpload({ bucket, key, s3UploadId }, this.#now)
            this.#add({ aborted: 1 })
          } catch (error) {
            if (!this.#isPassed(error, this.#state.marker === this.#before.marker)) throw error
          }
        }
        const { oldUploads } = this.#state.counts
        this.#set({ counts: { ...this.#state.counts, oldUploads: (oldUploads ?? 0) + 1 } })
      }
      this.#set({ marker: JSON.stringify({ keyMarker: key, uploadIdMarker: s3UploadId }) })
    }
    this.#set({ failures: 0, marker: next === undefined ? null : JSON.stringify(next) })
    if (next === undefined) this.#set({ phase: 'entries' })
  }

  /** Counts entries of the index that no request can reach. Then the pass ends. */
  async #walkEntries(): Promise<void> {
    const { index, aliases } = this.#walk
    const { counts, marker } = this.#state
    if (index.strayEntries === undefined) {
      this.#set({ counts: { ...counts, foreign: null } })
      return this.#end()
    }
    const page = await index.strayEntries(aliases, marker ?? undefined).catch((cause: unknown) => {
      throw new IndexFailure('Its entries can not be listed.', { cause })
    })
    const foreign = Object.values(page.aliases).reduce((all, one) => all + one, 0)
    this.#add({ foreign, unreadable: page.unreadable })
    if (page.cursor === undefined) return this.#end()
    if (page.cursor === marker)
      throw indexUnavailable(new Error('It lists entries on pages that never end.'))
    this.#set({ failures: 0, marker: page.cursor })
  }

  /** Ends the pass. The state is then that of the next one. */
  #end(): void {
    const { mode, import: imported } = this.#walk
    const { startedAt, counts, recent, accepted, nextWitnesses, last } = this.#state
    const endedAt = this.#now.toISOString()
    this.#ended = { mode, startedAt, endedAt, counts, recent }
    const next = startWalk(this.#walk, this.#now, this.#state)
    if (imported !== null) {
      this.#state = next
      return
    }
    // What a person has accepted stays so until the walk has worked it off.
    const still = reasonsIn(last, { counts, isListDone: true }).filter(
      (reason) => reason !== 'shorter list' && accepted.includes(reason),
    )
    this.#state = { ...next, accepted: still, last: this.#ended, witnesses: nextWitnesses }
  }
}

/** What is to be done about an item. */
type Action = 'record' | 'correct' | 'suspect' | 'expire'

interface Found {
  readonly item: Item
  readonly added: Added
  /** Null if there is nothing to do, or if the walk only reports. */
  readonly action: Action | null
}

/**
 * The requests to the bucket and the operations of the index that an action makes at most, apart from rare
 * repeats. To store a record, D1 runs two queries.
 */
const NEEDS = { record: [3, 3], correct: [3, 3], expire: [2, 2] } as const

/** Errors that say nothing about one key. */
const LATER: readonly ErrorCode[] = [
  'storage_busy',
  'events_unavailable',
  'clock_skew',
  'credentials_expired',
  'credentials_invalid',
  'credentials_unavailable',
]

const failureOf = (error: unknown): ApiError =>
  asApiError(error) ?? new ApiError('internal', 'Upkeep failed.', { cause: error })

function sum(counts: Counts, added: Added): Counts {
  const result: Record<string, number | null> = { ...counts }
  for (const [name, more] of Object.entries(added)) result[name] = (result[name] ?? 0) + more
  return { ...counts, ...result }
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
