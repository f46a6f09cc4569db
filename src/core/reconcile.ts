import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { isNewObjectKey, nameInKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileChange } from '../records/file-event.ts'
import type { FileIndex, IndexChange, KeptRecord } from '../records/file-index.ts'
import { type FileRecord, isConfirmed, isSameEntry } from '../records/file-record.ts'
import { headObject, type ObjectHead } from '../storage/object.ts'

/*
 * Makes the index agree with the bucket, for one key, whoever asks: looks at the record, then at the
 * object, announces what changes, writes if the index still has the record that was seen, and looks again.
 *
 * What happens to the record, by what the bucket has. The first line that fits counts. "Its record" has
 * the object's size and ETag, and an owner that somebody has confirmed. A caller also compares the date.
 *
 * | The bucket has         | Who infers       | Who records          | Who renames   | Who deletes      | A given record  |
 * |------------------------|------------------|----------------------|---------------|------------------|-----------------|
 * | no object              | removed          | removed, 404         | removed, 404  | removed          | removed, "gone" |
 * | its record, the        | date and type    | stays                | gets the name | stays: a later   | stays, unless   |
 * |   asker's own          |   follow         |                      |               |   upload's       |   it overwrites |
 * | its record, another's  | same             | stays, or 403; who   | 403           | same             | same            |
 * |                        |                  |   proves it gets it  |               |                  |                 |
 * | the object of a kept   | returns          | returns, then as     | 409           | removed          | takes its place |
 * |   record               |                  |   above              |               |                  |                 |
 * | an object, no record   | recorded         | recorded             | 404           | -                | stored          |
 * | another object         | replaced         | replaced             | 409           | removed          | stored if later |
 *
 * A record with an owner that is removed or replaced is kept, unless its owner or a delete does it: for 30
 * days, or while the bucket has an object of its size. A guess takes the place of no confirmed one.
 */

/**
 * Tells listeners about a change `at` a time, or now. `about` is the record of the file, which the
 * index already has if it `isRepeat`. If it throws, the index must not change.
 */
export type Announce = (
  change: FileChange,
  about: FileRecord | null,
  at?: Date,
  isRepeat?: boolean,
) => Promise<unknown>

/** Where a key is reconciled, and who hears of it. */
export interface Place {
  readonly bucket: Bucket
  readonly index: FileIndex
  /** Null if nobody listens. */
  readonly announce: Announce | null
  /** Purges the edge copies of a key before its record changes. Null if the caller does that. */
  readonly purge: ((key: ObjectKey) => Promise<void>) | null
  readonly now: Date
}

/** What a look has found. */
export interface Seen {
  readonly key: ObjectKey
  readonly object: ObjectHead | null
  readonly record: FileRecord | null
  /** A moment before the bucket was asked. */
  readonly asked: Date
  /** The record that this call has written, as it is stored, or null. */
  readonly written: FileRecord | null
  /** Whether the file had no record before that one. Nobody has been told of it yet. */
  readonly isNew: boolean
  /** The record that this call has removed before, or null. Now there is an object again. */
  readonly removed: FileRecord | null
  /** Returns the kept record of the key, or null. Asks once. */
  readonly kept: () => Promise<KeptRecord | null>
}

/** What is to be done about a key. */
export interface Decision extends Pick<IndexChange, 'kept'> {
  /** What the index is to have. Undefined for a decision that only announces. */
  readonly record: FileRecord | null | undefined
  /** What listeners hear before. Undefined for nothing. */
  readonly event?: Parameters<Announce> | undefined
  readonly purges?: boolean
  /** Whether nobody has to look again. */
  readonly isLast?: boolean
}

/** How often `reconcile` tries if others change the file in between. */
const MAX_TRIES = 6

/** How a key is reconciled. */
export interface ReconcileOptions {
  /** Asks the bucket. `isAgain` if it has answered before. Default: HeadObject. */
  readonly look?: (isAgain: boolean) => Promise<ObjectHead | null>
  /** Tells whether to go on, before the index is asked: Workers KV keeps what it has answered for a minute. */
  readonly begin?: (object: ObjectHead | null) => boolean
  /** Whether the index is asked first, since the object is probably gone. */
  readonly isRecordFirst?: boolean
  /** Whether a record with an earlier date than the object needs no other look. It saves a request. */
  readonly trustsDates?: boolean
}

/**
 * Does what `decide` says about a key, and looks and asks again until that is nothing (null). Returns
 * what the index has then, or undefined if it was not asked. Throws what `decide`, `announce` and `purge`
 * throw, `storage_error`, and `unavailable`, also if others keep changing the file.
 */
export async function reconcile(
  { bucket, index, announce, purge, now }: Place,
  key: ObjectKey,
  decide: (seen: Seen) => Promise<Decision | null>,
  options: ReconcileOptions = {},
): Promise<FileRecord | null | undefined> {
  const { alias } = bucket
  const { look = (isAgain) => headObject(bucket, key, now, isAgain), begin, trustsDates } = options
  let written: FileRecord | null = null
  let isNew = false
  let removed: FileRecord | null = null
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const isFirst = written === null && !options.isRecordFirst
    const first = isFirst ? await look(tries > 0) : undefined
    if (tries === 0 && first !== undefined && begin?.(first) === false) return undefined
    const entry: FileRecord | null = written ?? (await index.get(alias, key))
    // Workers KV may still show what this call has removed.
    const isGone: boolean = written === null && isSameEntry(entry, removed)
    const record: FileRecord | null = isGone ? null : entry
    const asked = new Date()
    // The record may be of a later object. But then it was there before the next look.
    const isCurrent =
      first !== undefined &&
      (record === null ||
        (first !== null &&
          (isSameUpload(record, first) || (trustsDates && isEarlier(record, first)))))
    const object = isCurrent ? first : await look(tries > 0 || isFirst)
    let keeping: Promise<KeptRecord | null> | undefined
    const kept = () => {
      keeping ??= keptRecord(index, alias, key, now)
      return keeping
    }
    const decision = await decide({ key, object, record, asked, written, isNew, removed, kept })
    if (decision === null) return record
    if (decision.record) index.requireIndexable?.(alias, key)
    if (decision.purges) await purge?.(key)
    if (decision.event) await announce?.(...decision.event)
    if (decision.record === undefined) return record
    const change = { over: entry, kept: decision.kept }
    if (decision.record !== null) {
      written = await index.put(decision.record, change)
      // A kept record that returns is not new.
      isNew = written !== null && (record === null ? decision.kept !== null : isNew)
      if (written !== null && decision.isLast) return written
      continue
    }
    written = null
    if (!(await index.remove(alias, key, change))) continue
    if (decision.isLast || (await look(true)) === null) return null
    removed = record
  }
  throw new ApiError('unavailable', 'Others keep changing this file. Try again.', {
    reason: 'storage',
    retryAfterSeconds: 1,
  })
}

/** What those who infer change: the walk, a notification, an import, a restore. */
export type Change = 'recorded' | 'returned' | 'updated' | 'replaced' | 'removed'

export interface Inference {
  /** Returns the owner of a new record, a guess. Default: none. */
  readonly ownerOf?: (key: ObjectKey) => string | null
  /** Returns the seconds to wait before anything changes, or 0. Without a record, before the index is asked. */
  readonly wait?: (object: ObjectHead | null, record?: FileRecord | null) => number
  /** Tells which changes may be made now. Any other is only reported. Default: all. */
  readonly may?: (change: Change) => boolean
  /** By a person's order: a kept record also returns to an object of its size with another ETag. */
  readonly changed?: boolean
}

export interface Inferred {
  /** The last change, or why there is none: they agree, or neither has the key, or it is too early. */
  readonly outcome: Change | 'same' | 'missing' | 'waiting'
  /** Whether the change was only reported. */
  readonly isDue: boolean
  /** Seconds until another attempt, if it is too early. */
  readonly seconds: number
  /** What the bucket has, and the index. */
  readonly object: ObjectHead | null
  readonly record: FileRecord | null
}

/**
 * Makes the index agree with the bucket, for those who didn't change the file themselves. Throws what
 * `reconcile` throws, and `key_not_indexable`.
 */
export async function infer(
  place: Place,
  key: ObjectKey,
  options: Inference = {},
): Promise<Inferred> {
  let result: Inferred = { outcome: 'same', isDue: false, seconds: 0, object: null, record: null }
  const isEarly = (object: ObjectHead | null, record?: FileRecord | null): boolean => {
    const seconds = options.wait?.(object, record) ?? 0
    if (seconds > 0) result = { ...result, outcome: 'waiting', seconds, object }
    return seconds > 0
  }
  const decide = async (seen: Seen): Promise<Decision | null> => {
    const { object, record, written, removed } = seen
    result = { ...result, object }
    const [outcome, decision] =
      (await inferDecision(place, seen, options)) ?? (['same', null] as const)
    // This call corrects what it has written itself, also with a change that it may not make.
    if (written !== null || removed !== null) {
      if (decision !== null) result = { ...result, outcome }
      return decision
    }
    result = { ...result, outcome }
    if (outcome === 'same' || isEarly(object, record)) return null
    const isDue = outcome !== 'missing' && options.may?.(outcome) === false
    result = { ...result, isDue }
    return isDue ? null : decision
  }
  const begin = (object: ObjectHead | null) => !isEarly(object)
  const record = await reconcile(place, key, decide, options.wait ? { begin } : {})
  return { ...result, record: record ?? null }
}

/** Returns what those who infer do, or null if bucket and index agree. */
export async function inferDecision(
  { bucket, now }: Pick<Place, 'bucket' | 'now'>,
  seen: Seen,
  { ownerOf, changed = false }: Inference = {},
): Promise<[Change, Decision] | ['missing', null] | null> {
  const { key, object, record } = seen
  if (object === null)
    return record === null ? ['missing', null] : ['removed', await removal(seen, record, now)]
  const isIts = record !== null && isSameFile(record, object)
  if (!(isIts && isConfirmed(record))) {
    const decision = await restoration(seen, now, changed)
    if (decision !== null) return ['returned', decision]
  }
  if (isIts) {
    const file = asOf(record, object)
    const purges = file.mimetype !== record.mimetype
    const isSame = !purges && file.createdAt === record.createdAt
    return isSame ? null : ['updated', { record: file, purges, isLast: true }]
  }
  const owner = ownerOf?.(key) ?? null
  const file: FileRecord = { ...provisional(bucket, key, object), owner, status: 'found' }
  const kept = await keptAfter(seen, record, now)
  if (record === null)
    return ['recorded', { record: file, event: [{ type: 'recorded', file }, file], kept }]
  const event: Decision['event'] = [{ type: 'replaced', file }, file]
  return ['replaced', { record: file, event, kept, purges: true }]
}

/** Returns what removes the record of a missing object. `keeps` is false if its owner wants that. */
export async function removal(
  seen: Seen,
  record: FileRecord,
  now: Date,
  keeps = true,
): Promise<Decision> {
  const { key, asked } = seen
  return {
    record: null,
    event: [{ type: 'deleted', file: { bucket: record.bucket, key } }, record, asked],
    kept: keeps ? await keptAfter(seen, seen.isNew ? null : record, now) : null,
    purges: true,
    // Nobody uploads to a generated key again.
    isLast: isNewObjectKey(key),
  }
}

/** Returns what gives an object its kept record back, or null if that is of another object. */
export async function restoration(
  seen: Seen,
  now: Date,
  changed = false,
): Promise<Decision | null> {
  const { object, record } = seen
  const kept = object && (await seen.kept())
  if (!kept || kept.record.size !== object.size) return null
  if (kept.record.etag !== object.etag && !changed) return null
  const file: FileRecord = { ...asOf(kept.record, object), etag: object.etag }
  const replaces = record !== null && !isSameFile(record, object)
  const isTheirs = replaces && record.owner !== null
  return {
    record: file,
    event: [{ type: replaces ? 'replaced' : 'recorded', file }, file],
    kept: isTheirs ? toKept(record, object, now) : null,
    purges: replaces,
  }
}

/** Returns what is to be kept of a key whose record goes, if one does. Undefined for what is kept already. */
export async function keptAfter(
  { object, kept }: Seen,
  goes: FileRecord | null,
  now: Date,
): Promise<KeptRecord | undefined> {
  if (goes !== null && isConfirmed(goes)) return toKept(goes, object, now)
  const known = await kept()
  if (goes !== null && goes.owner !== null && (known === null || !isConfirmed(known.record)))
    return toKept(goes, object, now)
  return known === null ? undefined : renewed(known, object, now)
}

/** Returns a kept record with another expiry, if that depends on what the bucket has now. */
export function renewed(
  { record, expiresAt }: KeptRecord,
  object: Pick<ObjectHead, 'size'> | null,
  now: Date,
): KeptRecord | undefined {
  const still = toKept(record, object, now)
  return (still.expiresAt === null) === (expiresAt === null) ? undefined : still
}

/** How long a record is kept that others than its owner have removed. */
const KEPT_DAYS = 30

const toKept = (
  record: FileRecord,
  object: Pick<ObjectHead, 'size'> | null,
  now: Date,
): KeptRecord => {
  const expires = new Date(now.getTime() + KEPT_DAYS * 86_400_000)
  const isThere = object?.size === record.size
  return {
    record,
    keptAt: now.toISOString(),
    expiresAt: isThere ? null : expires.toISOString(),
  }
}

/** Returns the kept record of a key that has not expired, or null. */
export async function keptRecord(
  { kept }: FileIndex,
  bucket: string,
  key: ObjectKey,
  now: Date,
): Promise<KeptRecord | null> {
  const found = (await kept?.get(bucket, key)) ?? null
  return found !== null && isKept(found, now) ? found : null
}

/** Tells whether a kept record has not expired. */
export const isKept = ({ expiresAt }: KeptRecord, now: Date): boolean =>
  expiresAt === null || Date.parse(expiresAt) > now.getTime()

/** Tells whether a record is of this object, for those who infer: a copy in place has another date. */
export const isSameFile = (
  { etag, size }: Pick<FileRecord, 'etag' | 'size'>,
  object: Pick<ObjectHead, 'etag' | 'size'>,
): boolean => etag === object.etag && size === object.size

const isEarlier = (record: FileRecord, object: ObjectHead): boolean =>
  Date.parse(record.createdAt) < object.lastModified.getTime()

/** Tells whether a record is of the upload that the bucket has. */
export const isSameUpload = (
  { etag, createdAt }: FileRecord,
  { etag: current, lastModified }: Pick<ObjectHead, 'etag' | 'lastModified'>,
): boolean => etag === current && createdAt === lastModified.toISOString()

/** Returns a record with the type and the date of the object. */
export const asOf = (record: FileRecord, { mimetype, lastModified }: ObjectHead): FileRecord => ({
  ...record,
  mimetype,
  createdAt: lastModified.toISOString(),
})

/** Returns the record of an object that nobody has recorded. */
export const provisional = (bucket: Bucket, key: ObjectKey, head: ObjectHead): FileRecord =>
  toRecord(bucket, key, nameInKey(key), null, head)

/** Returns a record. `createdAt` is the object's own date, so that a repeat has the same result. */
export const toRecord = (
  { alias }: Pick<Bucket, 'alias'>,
  key: ObjectKey,
  name: string,
  owner: string | null,
  { size, mimetype, etag, lastModified }: ObjectHead,
): FileRecord => ({
  key,
  bucket: alias,
  name,
  size,
  mimetype,
  etag,
  owner,
  createdAt: lastModified.toISOString(),
})
