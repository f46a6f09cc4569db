import { sixAtOnce } from '../../../bucket/at-once.ts'
import type { Bucket } from '../../../bucket/bucket.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../../http/fields.ts'
import { type FileIndex, getMany } from '../../../records/file-index.ts'
import type { FileRecord } from '../../../records/file-record.ts'
import { headObject } from '../../../storage/object.ts'

/**
 * What happened to a record: `gone` if the bucket has no object under its key. Then the index has no
 * record of it either.
 */
export interface PutRecord {
  readonly key: string
  readonly outcome: 'stored' | 'kept' | 'gone'
}

/**
 * Stores records of distinct keys that exist already. The index keeps its record of a later object, and,
 * unless `overwrites`, of the same one. Looks for each object after its record is stored: a file that is
 * deleted meanwhile has no record at the end, whoever was faster. Throws `index_unavailable`,
 * `storage_error` and `storage_busy`. The same records can be sent again.
 */
export async function putRecords(
  bucket: Bucket,
  index: FileIndex,
  records: readonly FileRecord[],
  overwrites: boolean,
  now: Date,
): Promise<(PutRecord | RefusedKey)[]> {
  const keys = records.map(({ key }) => key)
  const known = new Map(
    (await getMany(index, bucket.alias, keys)).map((record) => [record.key, record]),
  )
  return sixAtOnce(records, async (record) => {
    const { key } = record
    try {
      const before = known.get(key)
      const isStored = before === undefined || replaces(record, before, overwrites)
      const stored = isStored ? await index.put(record, overwrites ? before : undefined) : before
      if ((await headObject(bucket, key, now)) !== null)
        return { key, outcome: isStored ? 'stored' : 'kept' }
      await index.remove(bucket.alias, key, stored)
      return { key, outcome: 'gone' }
    } catch (error) {
      if (asApiError(error)?.code === 'key_not_indexable') return refusedKey(key, error)
      throw error
    }
  })
}

/** Tells whether `record` takes the place of `known`. */
function replaces(record: FileRecord, known: FileRecord, overwrites: boolean): boolean {
  if (record.createdAt !== known.createdAt) return record.createdAt > known.createdAt
  if (record.etag !== known.etag) return false
  if (known.owner === null && record.owner !== null) return true
  return overwrites && textOf(record) !== textOf(known)
}

const textOf = ({ name, size, mimetype, owner }: FileRecord): string =>
  JSON.stringify([name, size, mimetype, owner])
