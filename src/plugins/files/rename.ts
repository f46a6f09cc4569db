import type { Bucket } from '../../bucket/bucket.ts'
import {
  type Announce,
  fileReplaced,
  forget,
  hasOtherOwner,
  isSameRecord,
  isSameUpload,
  objectNotFound,
  yieldTo,
} from '../../core/record.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { headObject } from '../../storage/object.ts'

/** Returns the record with a name that a person has chosen, so it has no status. */
function confirmed({ status: _, ...record }: FileRecord, name: string): FileRecord {
  return { ...record, name }
}

/**
 * Changes a display name, and confirms the record. `owner` is the only owner whose files the caller may rename, or null for
 * all. Throws `object_not_found` without a record or an object, `forbidden` for another owner's
 * file, `file_replaced` if the bucket has another object, `storage_error`, `unavailable`, and what
 * `announce` throws: then the name stays.
 */
export async function renameFile(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  name: string,
  owner: string | null,
  now: Date,
  announce: Announce | null,
): Promise<FileRecord> {
  const find = async (): Promise<FileRecord> => {
    const known = await index.get(bucket.alias, key)
    if (known === null)
      throw new ApiError(
        'object_not_found',
        'The index has no record of this file. Record it with POST /files.',
      )
    if (owner === null || known.owner === owner) return known
    throw hasOtherOwner('files:delete')
  }
  const [known, head] = await Promise.all([find(), headObject(bucket, key, now)])
  if (head === null) throw objectNotFound()
  if (!isSameUpload(known, head)) throw fileReplaced()
  // The bucket may have been slow, and somebody may have recorded another upload meanwhile.
  const latest = await find()
  if (!isSameUpload(latest, head) || latest.owner !== known.owner) throw fileReplaced()
  const file = confirmed(latest, name)
  const isChange = name !== latest.name || latest.status !== undefined
  if (isChange) await announce?.({ type: 'renamed', file }, file)
  let stored = await index.put(file, latest)
  // Somebody else has renamed it meanwhile. The last one wins.
  const isOvertaken = () =>
    isSameRecord(stored, file) && stored.owner === file.owner && stored.name !== name
  for (let tries = 0; tries < 3 && index.isConditional && isOvertaken(); tries++)
    stored = await index.put(confirmed(stored, name), stored)
  // Somebody has recorded another upload, or this one, meanwhile. A conditional index keeps that.
  if (!isSameRecord(stored, file) || stored.owner !== file.owner) throw fileReplaced()
  const after = await headObject(bucket, key, now)
  if (after === null) {
    await forget(bucket, index, key, stored, announce, now)
    throw objectNotFound()
  }
  return isSameUpload(stored, after) ? stored : yieldTo(bucket, index, key, after, now)
}
