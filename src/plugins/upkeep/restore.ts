import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { type Announce, forget, isSameUpload, putRecord } from '../../core/record.ts'
import { asApiError } from '../../errors/api-error.ts'
import { type RefusedKey, refusedKey } from '../../http/fields.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileIndex, getMany } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import { headObject } from '../../storage/object.ts'
import type { DroppedName, DroppedRecord } from './walk-object.ts'

/**
 * What happened to a key: `kept` if the index has a record of the object that somebody has confirmed, `gone` without an object, `different` if the object is not the one of a dropped record,
 * `unknown` if no dropped record is kept.
 */
export interface Restored {
  readonly key: string
  readonly outcome: 'restored' | 'kept' | 'gone' | 'different' | 'unknown'
}

/**
 * Puts dropped records of distinct keys back whose objects are in the bucket again: with their names and
 * owners, and the object's date. Looks for each object again after its record is stored. Throws
 * `storage_error`, `unavailable` and what `announce` throws. It can be repeated.
 */
export async function restoreRecords(
  bucket: Bucket,
  index: FileIndex,
  dropped: readonly DroppedRecord[],
  keys: readonly ObjectKey[],
  announce: Announce | null,
  forgetDropped: (names: readonly DroppedName[]) => Promise<void>,
  now: Date,
): Promise<(Restored | RefusedKey)[]> {
  const known = new Map(
    (await getMany(index, bucket.alias, keys)).map((record) => [record.key, record]),
  )
  return sixAtOnce(keys, async (key) => {
    const ofKey = dropped.filter(({ record }) => record.key === key).map(({ record }) => record)
    if (ofKey.length === 0) return { key, outcome: 'unknown' }
    const asked = new Date()
    const head = await headObject(bucket, key, now)
    if (head === null) return { key, outcome: 'gone' }
    const before = ofKey.find(({ etag }) => etag === head.etag)
    if (before === undefined) return { key, outcome: 'different' }
    const current = known.get(key)
    const isKnown = current !== undefined && isSameUpload(current, head)
    const { etag } = head
    if (isKnown && isConfirmed(current)) {
      await forgetDropped([{ key, etag }])
      return { key, outcome: 'kept' }
    }
    const file: FileRecord = { ...before, createdAt: head.lastModified.toISOString() }
    try {
      index.requireIndexable?.(bucket.alias, key)
      await announce?.({ type: current && !isKnown ? 'replaced' : 'recorded', file }, file)
      const stored = await putRecord(bucket, index, file, now, current)
      if ((await headObject(bucket, key, now, true)) === null) {
        await forget(bucket, index, key, stored, announce, now, asked)
        return { key, outcome: 'gone' }
      }
    } catch (error) {
      const { code = '' } = asApiError(error) ?? {}
      if (/^(?:key_not_indexable|object_not_found)$/.test(code)) return refusedKey(key, error)
      throw error
    }
    await forgetDropped([{ key, etag }])
    return { key, outcome: 'restored' }
  })
}
