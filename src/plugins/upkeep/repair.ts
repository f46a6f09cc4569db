import { type Change, infer, type Place } from '../../core/reconcile.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
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
  return (index.lagSeconds ?? 0) > 0 && /-\d+"?$/.test(etag) ? MAX_UPLOAD_SECONDS : GRACE_SECONDS
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

const placeOf = ({ bucket, index, announce, purge, now }: Repair): Place => ({
  ...{ bucket, index, announce, now },
  purge: (key) => purge(bucket, [key]),
})

/** Returns the seconds until an object is old enough. */
const waitFor =
  (repair: Repair) =>
  (object: ObjectHead | null): number =>
    object === null
      ? 0
      : Math.max(0, graceOf(repair, object) - ageIn(repair, object.lastModified.getTime()))

/**
 * Records an object that nobody has recorded. Resolves with whether it did: somebody may record it
 * meanwhile. Throws what `infer` throws.
 */
export async function recordObject(repair: Repair, key: ObjectKey): Promise<boolean> {
  const { index, siblings, ownerOf } = repair
  for (const alias of siblings) if ((await index.get(alias, key)) !== null) return false
  const may = (change: Change) => change === 'recorded' || change === 'returned'
  const { outcome, isDue } = await infer(placeOf(repair), key, {
    ...{ ownerOf, may, wait: waitFor(repair) },
  })
  return !isDue && may(outcome as Change)
}

/** Replaces the record of another object than the bucket has. Resolves with whether it did. */
export async function correctRecord(repair: Repair, key: ObjectKey): Promise<boolean> {
  const may = (change: Change) => change !== 'removed'
  const { outcome, isDue } = await infer(placeOf(repair), key, {
    ...{ ownerOf: repair.ownerOf, may, wait: waitFor(repair) },
  })
  return !isDue && ['replaced', 'returned', 'updated'].includes(outcome)
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
export async function dropRecord(repair: Repair, { key }: FileRecord): Promise<void> {
  await infer(placeOf(repair), key)
}
