import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Background, Bucket, ConfiguredBucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { type Announce, type Inference, type Inferred, infer } from '../../core/reconcile.ts'
import { asApiError } from '../../errors/api-error.ts'
import type { WarningText } from '../../errors/warnings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type After, NOBODY } from '../../records/file-event.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import type { ObjectHead } from '../../storage/object.ts'
import { unquoted } from '../../storage/s3.ts'
import {
  type Candidate,
  candidatesOf,
  DROPS,
  type Drop,
  type Notification,
} from './notification.ts'

/** `known`, `missing` and `superseded` change nothing. A number is the seconds until another attempt. */
export type Outcome =
  | 'recorded'
  | 'replaced'
  | 'known'
  | 'removed'
  | 'missing'
  | 'superseded'
  | Drop
  | number

/** Age of an object in seconds by which most clients have recorded it, and Workers KV shows it. */
export const QUIET_SECONDS = 90

/** What recording needs apart from the bucket. */
export interface Recorder {
  readonly buckets: readonly ConfiguredBucket[]
  readonly open: (bucket: ConfiguredBucket, now: Date) => Bucket | Promise<Bucket>
  readonly index: FileIndex
  readonly purge: (bucket: ConfiguredBucket, key: ObjectKey) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
}

/** Returns a recorder. Its events have no principal, since a bucket doesn't tell who uploads. */
export const recorderOf = (
  buckets: readonly ConfiguredBucket[],
  index: FileIndex,
  objects: { purge(bucket: ConfiguredBucket, keys: readonly ObjectKey[]): Promise<void> },
  after: After | null,
  background: Background,
): Recorder => ({
  buckets,
  open: (bucket, now) => openBucket(bucket, now, background),
  index,
  purge: (bucket, key) => objects.purge(bucket, [key]),
  announce:
    after &&
    ((change, about, at = new Date()) => after({ ...change, ...NOBODY }, about, at, background)),
})

/** What was inferred of an object, or the object if it is too young. */
type Found = Exclude<Outcome, Drop> | ObjectHead

/**
 * Makes the index agree with the bucket for each notification's object, in any order, and once for
 * repeats. Resolves with the results in the same order. A notification is only a hint, so this asks
 * the bucket: an object without a record gets a provisional one, without an owner, until somebody
 * records the upload. A missing object's record is removed. Changes nothing while an object is
 * young, or if `isFirstAttempt`: bucket and index may be late. Announces each change before the index
 * changes. Rejects a result with `storage_error`, `unavailable`
 * or what `announce` throws; then the sender should repeat it.
 */
export async function recordAllNotified(
  recorder: Recorder,
  notifications: readonly (Notification | Drop)[],
  now: Date,
  isFirstAttempt: (notification: Notification, i: number) => boolean = () => false,
): Promise<Result[]> {
  const begun = new Map<string, Promise<readonly Found[]>>()
  const recordOne = async (notification: Notification | Drop, i: number): Promise<Outcome> => {
    if (typeof notification === 'string') return notification
    const candidates = candidatesOf(recorder.buckets, notification)
    if (typeof candidates === 'string') return candidates
    const young = secondsUntilQuiet(notification.time, now)
    if (young > 0) return young
    const { bucket, account, key } = notification
    const isFirst = isFirstAttempt(notification, i)
    const name = JSON.stringify([bucket, account, key, isFirst])
    const found =
      begun.get(name) ??
      Promise.all(
        candidates.map((candidate) => reconcileAt(recorder, candidate, now, isFirst)),
      ).then((all) => all.flat())
    begun.set(name, found)
    try {
      return outcomeOf(await found, notification, now)
    } catch (error) {
      if (asApiError(error)?.code === 'key_not_indexable') return 'key not indexable'
      throw error
    }
  }
  const results = await sixAtOnce(notifications, (one, i) =>
    Promise.allSettled([recordOne(one, i)]),
  )
  return results.flat()
}

function outcomeOf(found: readonly Found[], { etag }: Notification, now: Date): Outcome {
  const outcomes = found.map((one) => {
    if (typeof one !== 'object') return one
    // A newer upload has its own notification. Without this, a key that changes often never counts.
    return etag === undefined || etag === unquoted(one.etag)
      ? secondsUntilQuiet(one.lastModified.getTime(), now)
      : 'superseded'
  })
  const waiting = outcomes.filter((outcome) => typeof outcome === 'number')
  if (waiting.length > 0) return Math.max(...waiting)
  const changed = outcomes.find((outcome) => outcome !== 'known' && outcome !== 'missing')
  return changed ?? outcomes[0] ?? 'missing'
}

/** Returns the seconds until `time` counts, or 0 for one over an hour ahead: no endless repeats. */
function secondsUntilQuiet(time: number, now: Date): number {
  const ahead = (time - now.getTime()) / 1000
  return ahead > 3600 ? 0 : Math.min(QUIET_SECONDS, Math.ceil(QUIET_SECONDS + ahead))
}

/** Makes the index agree for one object: all aliases that know it, or else the first one. */
async function reconcileAt(
  { open, index, purge, announce }: Recorder,
  { aliases, key }: Candidate,
  now: Date,
  isFirstAttempt: boolean,
): Promise<readonly Found[]> {
  const secondsOf = (date: number) => secondsUntilQuiet(date, now)
  const wait = (object: ObjectHead | null, record?: FileRecord | null): number => {
    const ofObject = object === null ? 0 : secondsOf(object.lastModified.getTime())
    if (record === undefined) return ofObject
    // A bucket that is late may not have the object of a young record yet.
    const ofRecord = record === null ? 0 : secondsOf(Date.parse(record.createdAt))
    return Math.max(ofObject, ofRecord, isFirstAttempt ? QUIET_SECONDS : 0)
  }
  let purging: Promise<void> | undefined
  const inferAt = async (alias: ConfiguredBucket, may?: Inference['may']): Promise<Inferred> => {
    const bucket = await open(alias, now)
    const purgeOnce = () => {
      purging ??= purge(bucket, key)
      return purging
    }
    const at = { bucket, index, announce, purge: purgeOnce, now }
    return infer(at, key, { wait, ...(may && { may }) })
  }
  const hasOthers = aliases.length > 1
  const found = await sixAtOnce(aliases, (alias) =>
    inferAt(alias, hasOthers ? (change) => change !== 'recorded' : undefined),
  )
  const held = found.filter(({ isDue }) => !isDue)
  const inferred = held.length > 0 ? held : [await inferAt(aliases[0])]
  return inferred.map(({ outcome, seconds, object }): Found => {
    if (outcome !== 'waiting') return OUTCOMES[outcome]
    return object !== null && secondsOf(object.lastModified.getTime()) > 0 ? object : seconds
  })
}

const OUTCOMES = {
  recorded: 'recorded',
  returned: 'recorded',
  replaced: 'replaced',
  removed: 'removed',
  updated: 'known',
  same: 'known',
  missing: 'missing',
} as const

/** The result of one notification: an outcome, or the error after which the sender should repeat it. */
export type Result = PromiseSettledResult<Outcome>

/** What the log says about results: how many there are of each kind, and no key. */
export function summarize(results: readonly Result[]): {
  readonly counts: Readonly<Record<string, number>>
  readonly warnings: readonly WarningText[]
} {
  const counts: Record<string, number> = {}
  const kinds = { dropped: new Set<string>(), failed: new Set<string>() }
  for (const result of results) {
    const kind =
      result.status === 'rejected'
        ? (asApiError(result.reason)?.code ?? 'internal')
        : typeof result.value === 'number'
          ? 'waiting'
          : result.value
    if (result.status === 'rejected') kinds.failed.add(kind)
    else if (DROPS.some((drop) => drop === kind)) kinds.dropped.add(kind)
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  const warnings = (['dropped', 'failed'] as const).flatMap((what) => {
    const text = [...kinds[what]].map((kind) => `${kind} ${counts[kind]}`).join(', ')
    return text === '' ? [] : [`notifications ${what}: ${text}` as const]
  })
  return { counts, warnings }
}
