import { sixAtOnce } from '../../../bucket/at-once.ts'
import type { Bucket } from '../../../bucket/bucket.ts'
import { forget, isSameRecord } from '../../../core/record.ts'
import { asApiError } from '../../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../../http/fields.ts'
import { type FileIndex, getMany } from '../../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../../records/file-record.ts'
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
 * unless `overwrites`, of the same one, even if somebody records or renames the file meanwhile. Looks for
 * each object after its record is stored: a file that is deleted meanwhile has no record at the end,
 * whoever was faster. Asks `settle` about each record before it stores that.
 * Throws `storage_error` and `unavailable`. The same records can be sent again.
 */
export async function putRecords(
  bucket: Bucket,
  index: FileIndex,
  records: readonly FileRecord[],
  overwrites: boolean,
  now: Date,
  settle: (file: FileRecord) => Promise<unknown>,
): Promise<(PutRecord | RefusedKey)[]> {
  const keys = records.map(({ key }) => key)
  const known = new Map(
    (await getMany(index, bucket.alias, keys)).map((record) => [record.key, record]),
  )
  // A missing object then needs one request less. Cloudflare's free plan allows 50.
  let bucketExists = false
  return sixAtOnce(records, async (record) => {
    const { key } = record
    try {
      const before = known.get(key)
      await settle(record)
      const stored =
        before === undefined || replaces(record, before, overwrites)
          ? await index.put(record, overwrites ? before : null)
          : before
      // An index may store another name: a shorter one, or that of a rename in between.
      const isStored =
        before === undefined ? isSameRecord(stored, record) : textOf(stored) !== textOf(before)
      const head = await headObject(bucket, key, now, bucketExists)
      bucketExists = true
      if (head !== null) return { key, outcome: isStored ? 'stored' : 'kept' }
      await forget(bucket, index, key, stored, null, now)
      return { key, outcome: 'gone' }
    } catch (error) {
      const { code = '' } = asApiError(error) ?? {}
      if (/^(?:key_not_indexable|object_not_found)$/.test(code)) return refusedKey(key, error)
      throw error
    }
  })
}

/** Tells whether `record` takes the place of `known`. */
function replaces(record: FileRecord, known: FileRecord, overwrites: boolean): boolean {
  if (record.createdAt !== known.createdAt) return record.createdAt > known.createdAt
  if (record.etag !== known.etag) return false
  // Somebody may have confirmed the upload since.
  if (known.status === undefined && record.status !== undefined) return false
  if (!isConfirmed(known) && isConfirmed(record)) return true
  return overwrites && textOf(record) !== textOf(known)
}

const textOf = ({ name, size, mimetype, owner, etag, createdAt, status }: FileRecord): string =>
  JSON.stringify([name, size, mimetype, owner, etag, createdAt, status])
