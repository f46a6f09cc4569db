import type { Bucket } from '../bucket/bucket.ts'
import { asApiError } from '../errors/api-error.ts'
import type { WarningText } from '../errors/warnings.ts'
import type { Announcer, Background } from '../events/announcer.ts'
import { NOBODY } from '../events/file-event.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import { nameInKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { headObject } from '../storage/object.ts'
import { type Drop, type Notification, type Place, placesOf } from './notification.ts'
import { type Announce, forget, isSameUpload, toRecord } from './record.ts'

/** What became of a notification. `known` and `missing` change nothing. */
export type Outcome = 'recorded' | 'replaced' | 'known' | 'removed' | 'missing' | Drop

/** What recording needs apart from the bucket. */
export interface Recorder {
  readonly buckets: readonly Bucket[]
  readonly index: FileIndex
  /** Purges the edge copies of an object. */
  readonly purge: (bucket: Bucket, key: ObjectKey) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
}

/**
 * Returns a recorder for the buckets of the settings. Its events have no principal, since the bucket
 * doesn't tell who uploaded an object.
 */
export const recorderOf = (
  buckets: readonly Bucket[],
  index: FileIndex,
  objects: { purge(bucket: Bucket, keys: readonly ObjectKey[]): Promise<void> },
  events: Announcer | null,
  background: Background,
): Recorder => ({
  buckets,
  index,
  purge: (bucket, key) => objects.purge(bucket, [key]),
  announce:
    events &&
    ((change, about, at = new Date()) => events({ ...change, ...NOBODY }, about, at, background)),
})

/**
 * Makes the index agree with the bucket for the object of a notification. The message is only a
 * hint, so this asks the bucket: an object without a record gets a provisional one, without an
 * owner, until somebody records the upload. The record of a missing object is removed. So repeats
 * and another order have the same result. Announces each change before the index changes. Throws
 * `storage_error`, `storage_busy`, `index_unavailable`, `purge_failed` and what `announce` throws;
 * then the sender should repeat the notification.
 */
export async function recordNotified(
  recorder: Recorder,
  notification: Notification | Drop,
  now: Date,
): Promise<Outcome> {
  if (typeof notification === 'string') return notification
  const places = placesOf(recorder.buckets, notification)
  if (typeof places === 'string') return places
  try {
    const outcomes = await Promise.all(places.map((place) => settle(recorder, place, now)))
    const changed = outcomes.find((outcome) => outcome !== 'known' && outcome !== 'missing')
    return changed ?? outcomes[0] ?? 'missing'
  } catch (error) {
    if (asApiError(error)?.code === 'key_not_indexable') return 'key not indexable'
    throw error
  }
}

/** Settles one object. All aliases that know it are brought up to date, or else the first one. */
async function settle(
  { index, purge, announce }: Recorder,
  { aliases, key }: Place,
  now: Date,
): Promise<Exclude<Outcome, Drop>> {
  const [first] = aliases
  const seen = await headObject(first, key, now)
  // As late as possible, so that a record with an owner that is written meanwhile is seen.
  const entries = await Promise.all(
    aliases.map(async (bucket) => ({ bucket, known: await index.get(bucket.alias, key) })),
  )
  const held = entries.flatMap(({ bucket, known }) => (known === null ? [] : { bucket, known }))
  // A record that differs may be newer than the bucket's answer, so this asks again.
  const isCurrent = held.every(({ known }) => seen !== null && isSameUpload(known, seen))
  const head = isCurrent ? seen : await headObject(first, key, now)
  if (head === null) {
    if (held.length === 0) return 'missing'
    await purge(first, key)
    for (const { bucket, known } of held) await forget(bucket, index, key, known, announce, now)
    return 'removed'
  }
  const outdated = entries.filter(({ known }) => known !== null && !isSameUpload(known, head))
  if (held.length > 0 && outdated.length === 0) return 'known'
  const type = outdated.length > 0 ? 'replaced' : 'recorded'
  if (type === 'replaced') await purge(first, key)
  const buckets = type === 'replaced' ? outdated.map(({ bucket }) => bucket) : [first]
  const records = buckets.map((bucket) => ({
    bucket,
    file: toRecord(bucket, key, nameInKey(key), null, head),
  }))
  for (const { file } of records) {
    index.requireIndexable?.(file.bucket, key)
    if (announce !== null) await announce({ type, file }, file)
    await index.put(file)
  }
  // The notification of a delete may have been here before the record.
  if ((await headObject(first, key, now)) !== null) return type
  for (const { bucket, file } of records) await forget(bucket, index, key, file, announce, now)
  return 'removed'
}

/** The result of one notification: an outcome, or the error after which the sender should repeat it. */
export type Result = PromiseSettledResult<Outcome>

/**
 * Does `recordNotified` for each notification, in any order, and once for repeats. Returns the
 * results in the same order.
 */
export function recordAllNotified(
  recorder: Recorder,
  notifications: readonly (Notification | Drop)[],
  now: Date,
): Promise<Result[]> {
  const begun = new Map<string, Promise<Outcome>>()
  return Promise.allSettled(
    notifications.map((notification) => {
      if (typeof notification === 'string') return notification
      const { bucket, account, key } = notification
      const name = JSON.stringify([bucket, account, key])
      const outcome = begun.get(name) ?? recordNotified(recorder, notification, now)
      begun.set(name, outcome)
      return outcome
    }),
  )
}

const SETTLED: readonly string[] = ['recorded', 'replaced', 'known', 'removed', 'missing']

/** What the log says about results: how many there are of each kind, and no key. */
export function summarize(results: readonly Result[]): {
  readonly counts: Readonly<Record<string, number>>
  readonly warnings: readonly WarningText[]
} {
  const counts: Record<string, number> = {}
  const dropped: string[] = []
  const failed: string[] = []
  for (const result of results) {
    const kind =
      result.status === 'fulfilled' ? result.value : (asApiError(result.reason)?.code ?? 'internal')
    const list = result.status === 'rejected' ? failed : SETTLED.includes(kind) ? null : dropped
    if (list !== null && counts[kind] === undefined) list.push(kind)
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  const text = (kinds: readonly string[]) =>
    kinds.map((kind) => `${kind} ${counts[kind] ?? 0}`).join(', ')
  return {
    counts,
    warnings: [
      ...(dropped.length === 0 ? [] : [`notifications dropped: ${text(dropped)}` as const]),
      ...(failed.length === 0 ? [] : [`notifications failed: ${text(failed)}` as const]),
    ],
  }
}
