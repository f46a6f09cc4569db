import { sixAtOnce } from '../../../bucket/at-once.ts'
import {
  inferStep,
  isSameFile,
  keptAfter,
  type Place,
  reconcile,
  removal,
  type Seen,
  type Step,
} from '../../../core/reconcile.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../../http/fields.ts'
import { type FileRecord, isConfirmed, isSameEntry } from '../../../records/file-record.ts'

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
    let outcome: PutRecord['outcome'] = 'kept'
    const decide = async (seen: Seen): Promise<Step | null> => {
      const { object, record, written } = seen
      if (object === null) {
        outcome = 'gone'
        return record && removal(seen, record, place.now)
      }
      if (written !== undefined) return (await inferStep(place, seen))?.[1] ?? null
      outcome = 'kept'
      const file = chosen(given, seen, overwrites)
      if (file === null || (record !== null && isSameEntry(file, record))) return null
      await settle(file)
      outcome = 'stored'
      const isTaken = record !== null && record.owner !== null && record.owner !== file.owner
      return { record: file, kept: isTaken ? await keptAfter(seen, record, place.now) : undefined }
    }
    try {
      await reconcile(place, key, decide)
      return { key, outcome }
    } catch (error) {
      const { code = '' } = asApiError(error) ?? {}
      if (/^(?:key_not_indexable|object_not_found)$/.test(code)) return refusedKey(key, error)
      throw error
    }
  })
}

/** Returns the record that the index is to have, or null for the one that it has. */
function chosen(given: FileRecord, { object, record }: Seen, overwrites: boolean): FileRecord | null {
  if (object === null) return null
  const isOf = (one: FileRecord) => isSameFile(one, object)
  const { mimetype, lastModified } = object
  const file = isOf(given) ? { ...given, mimetype, createdAt: lastModified.toISOString() } : given
  if (record === null) return file
  if (isOf(record) !== isOf(file)) return isOf(file) ? file : null
  // Neither is of the object: the later one may be of what comes back.
  if (!isOf(file)) return file.createdAt > record.createdAt ? file : null
  // What is known may be newer: somebody has confirmed the upload, or the index was built again.
  if (file.status !== undefined && record.status === undefined) return null
  const isNamed = record.status === undefined && record.owner === null
  // A person has chosen the name since.
  if (!isConfirmed(record) && isConfirmed(file))
    return isNamed && !overwrites ? { ...file, name: record.name } : file
  return overwrites ? file : null
}
