import { sixAtOnce } from '../../../bucket/at-once.ts'
import {
  asOf,
  type Decision,
  isSameFile,
  keptAfter,
  type Place,
  reconcile,
  removal,
  type Seen,
} from '../../../core/reconcile.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../../http/fields.ts'
import { type FileRecord, isConfirmed, isSameEntry } from '../../../records/file-record.ts'
import type { ObjectHead } from '../../../storage/object.ts'

/**
 * What happened to a record: `gone` if the bucket has no object under its key. Then the index has no
 * record of it either.
 */
export interface PutRecord {
  readonly key: string
  readonly outcome: 'stored' | 'kept' | 'gone'
}

/**
 * Stores records of distinct keys that exist already, with the type and the date of their objects. The index
 * keeps its record of the object, unless only the given one has an owner, or it `overwrites`. A file that is
 * deleted meanwhile has no record at the end, whoever was faster. Asks `settle` about each record before it
 * stores that. Throws what `reconcile` throws. The same records can be sent again.
 */
export async function putRecords(
  place: Place,
  records: readonly FileRecord[],
  overwrites: boolean,
  settle: (file: FileRecord) => Promise<unknown>,
): Promise<(PutRecord | RefusedKey)[]> {
  return sixAtOnce(records, async (given) => {
    const { key } = given
    let isGone = false
    let before: FileRecord | null = null
    const decide = async (seen: Seen): Promise<Decision | null> => {
      const { object, record, written, removed } = seen
      isGone = object === null
      if (object === null) {
        return record && removal(seen, record, place.now)
      }
      // A record of another object is for the walk, which stops where too many differ.
      if (written !== null || removed !== null) return null
      before = record
      const file = chosen(given, record, object, overwrites)
      if (file === null || isSameEntry(file, record)) return null
      await settle(file)
      const isTaken = record !== null && record.owner !== null && record.owner !== file.owner
      return { record: file, kept: isTaken ? await keptAfter(seen, record, place.now) : undefined }
    }
    try {
      place.index.requireIndexable?.(place.bucket.alias, key)
      const stored = (await reconcile(place, key, decide)) ?? null
      // The index may have shortened the name again.
      const outcome = isGone ? 'gone' : isSameEntry(stored, before) ? 'kept' : 'stored'
      return { key, outcome }
    } catch (error) {
      const { code = '' } = asApiError(error) ?? {}
      if (/^(?:key_not_indexable|object_not_found)$/.test(code)) return refusedKey(key, error)
      throw error
    }
  })
}

/** Returns the record that the index is to have, or null for the one that it has. */
function chosen(
  given: FileRecord,
  record: FileRecord | null,
  object: ObjectHead,
  overwrites: boolean,
): FileRecord | null {
  const isOf = (one: FileRecord) => isSameFile(one, object)
  const file = isOf(given) ? asOf(given, object) : given
  if (record === null) return file
  if (isOf(record) !== isOf(file)) return isOf(file) ? file : null
  // The later one of two other objects may come back.
  if (!isOf(file) && record.createdAt !== file.createdAt)
    return file.createdAt > record.createdAt ? file : null
  if (record.etag !== file.etag) return null
  // What is known may be newer: somebody has confirmed the upload, or the index was built again.
  if (file.status !== undefined && record.status === undefined) return null
  // A person may have chosen the name since.
  const isNamed = record.status === undefined && !overwrites
  if (!isConfirmed(record) && isConfirmed(file))
    return isNamed ? { ...file, name: record.name } : file
  return overwrites ? file : null
}
