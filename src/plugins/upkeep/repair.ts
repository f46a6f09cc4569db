import { forget, isSameRecord, isSameUpload, provisional, putRecord } from '../../core/record.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { headObject } from '../../storage/object.ts'
import type { Walk } from './pass.ts'
import type { Suspect } from './state.ts'

/**
 * Age of an object in seconds from which it is recorded: longer than the minute of Workers KV, and as long
 * as the longest lifetime of an upload URL, so that clients come first. An import has no client.
 */
export const GRACE_SECONDS = 3600
export const IMPORT_GRACE_SECONDS = 600

/** A walk at one time. */
export interface Repair extends Walk {
  readonly now: Date
  /** Returns the owner of a key, or null. */
  readonly ownerOf: (key: ObjectKey) => string | null
}

/** Seconds since a date, in milliseconds since 1970. */
export const ageIn = ({ now }: Pick<Repair, 'now'>, time: number): number =>
  (now.getTime() - time) / 1000

/** After this time, nobody can finish an upload in parts: its id is valid for seven days. */
export const MAX_UPLOAD_SECONDS = 8 * 86_400

/**
 * Returns the grace time for an object. On AWS, the date of an upload in parts is that of its start. Workers KV may not
 * show that a client has just confirmed it, so this waits until nobody can finish an upload of that date any more.
 */
export const graceOf = (
  { import: imported, index }: Pick<Walk, 'import' | 'index'>,
  { etag }: { readonly etag: string },
): number => {
  if (imported !== null) return IMPORT_GRACE_SECONDS
  return !index.isConditional && /-\d+"?$/.test(etag) ? MAX_UPLOAD_SECONDS : GRACE_SECONDS
}

/** Returns whether a record is of the object in a list. Their dates may differ within a second. */
export const isListed = (
  record: Pick<FileRecord, 'etag' | 'createdAt' | 'size'>,
  object: { readonly etag: string; readonly lastModified: string; readonly size: number },
): boolean =>
  record.etag.replaceAll('"', '') === object.etag.replaceAll('"', '') &&
  secondOf(record.createdAt) === secondOf(object.lastModified) &&
  record.size === object.size

const secondOf = (date: string): number => Math.floor(Date.parse(date) / 1000)

/** Tells whether one of these aliases has a record of a key. */
async function isRecordedElsewhere(
  { index }: Pick<Repair, 'index'>,
  aliases: readonly string[],
  key: ObjectKey,
): Promise<boolean> {
  for (const alias of aliases) if ((await index.get(alias, key)) !== null) return true
  return false
}

/**
 * Records an object that nobody has recorded. Resolves with whether it did: somebody may record it
 * meanwhile. Throws what `forget` throws, and `key_not_indexable`.
 */
export async function recordObject(repair: Repair, key: ObjectKey): Promise<boolean> {
  const { bucket, index, announce, now } = repair
  const head = await headObject(bucket, key, now, true)
  if (head === null || ageIn(repair, head.lastModified.getTime()) < graceOf(repair, head))
    return false
  if (await isRecordedElsewhere(repair, repair.siblings, key)) return false
  if ((await index.get(bucket.alias, key)) !== null) return false
  const file = {
    ...provisional(bucket, key, head),
    owner: repair.ownerOf(key),
    status: 'found',
  } as const
  if (!(await tell(repair, 'recorded', file, null))) return false
  const stored = await index.put(file, null)
  if (!isSameRecord(stored, file) || stored.status !== 'found') return false
  if ((await headObject(bucket, key, now, true)) === null)
    await forget(bucket, index, key, file, announce, now)
  return true
}

/**
 * Replaces the record of another object than the bucket has. Resolves with whether it did. Its name and
 * owner may be those of somebody else.
 */
export async function correctRecord(
  repair: Repair,
  key: ObjectKey,
  seen: FileRecord,
): Promise<boolean> {
  const { bucket, index, announce, purge, now } = repair
  const head = await headObject(bucket, key, now, true)
  if (head === null || isSameUpload(seen, head)) return false
  if (ageIn(repair, head.lastModified.getTime()) < graceOf(repair, head)) return false
  const known = await index.get(bucket.alias, key)
  if (known === null || !isSameRecord(known, seen)) return false
  await purge(bucket, [key])
  const file = {
    ...provisional(bucket, key, head),
    ...{ owner: repair.ownerOf(key), status: 'found' as const },
  }
  if (!(await tell(repair, 'replaced', file, known))) return false
  await putRecord(bucket, index, file, now)
  if ((await headObject(bucket, key, now, true)) === null)
    await forget(bucket, index, key, file, announce, now)
  return true
}

/**
 * Announces a record before it is written. Resolves with false if the index no longer has `known`
 * then: listeners may be slow, and only a conditional index compares.
 */
async function tell(
  { bucket, index, announce }: Repair,
  type: 'recorded' | 'replaced',
  file: FileRecord,
  known: FileRecord | null,
): Promise<boolean> {
  index.requireIndexable?.(bucket.alias, file.key)
  if (announce === null) return true
  await announce({ type, file }, file)
  if (index.isConditional) return true
  const latest = await index.get(bucket.alias, file.key)
  return known === null ? latest === null : latest !== null && isSameRecord(latest, known)
}

/** The record of a suspect whose object is missing at the second look too, or null. */
export async function lookAgain(repair: Repair, suspect: Suspect): Promise<FileRecord | null> {
  const { bucket, index, now } = repair
  const { key } = suspect
  if ((await headObject(bucket, key, now)) !== null) return null
  const known = await index.get(bucket.alias, key)
  return known !== null && known.etag === suspect.etag && known.createdAt === suspect.createdAt
    ? known
    : null
}

/** Drops a record whose object is gone, and the edge copies of that. */
export async function dropRecord(
  { bucket, index, purge, announce, now }: Repair,
  record: FileRecord,
): Promise<void> {
  await purge(bucket, [record.key])
  await forget(bucket, index, record.key, record, announce, now)
}
