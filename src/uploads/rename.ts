import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import type { FileRecord } from '../file-index/file-record.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { headObject } from '../storage/object.ts'
import { isSameUpload, objectNotFound, toRecord } from './record.ts'

/**
 * Changes the display name in the record of a file, and nothing else. Throws `object_not_found` for
 * a file without an object or a record, `file_replaced` if the record is not of the object that the
 * bucket has, `storage_error` and `index_unavailable`.
 */
export async function renameFile(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  name: string,
  now: Date,
): Promise<FileRecord> {
  const [head, known] = await Promise.all([
    headObject(bucket, key, now),
    index.get(bucket.alias, key),
  ])
  if (head === null) throw objectNotFound()
  if (known === null)
    throw new ApiError(
      'object_not_found',
      'The index has no record of this file. Record it with POST /files.',
    )
  if (!isSameUpload(known, head)) throw fileReplaced()
  const stored = await index.put({ ...known, name })
  const after = await headObject(bucket, key, now)
  if (after !== null && isSameUpload(known, after)) return stored
  // The object changed meanwhile, so this may have overwritten its newer record. A provisional one
  // gets its owner when the upload is recorded again.
  if (after === null) await index.remove(bucket.alias, key)
  else await index.put(toRecord(bucket, key, name, null, after))
  throw after === null ? objectNotFound() : fileReplaced()
}

const fileReplaced = (): ApiError =>
  new ApiError(
    'file_replaced',
    'The object is newer than its record. Record it with POST /files, then try again.',
  )
