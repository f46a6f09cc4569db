import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import type { FileRecord } from '../file-index/file-record.ts'
import { splitFileName } from '../keys/file-name.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { headObject, type ObjectHead } from '../storage/object.ts'

export interface RecordRequest {
  readonly key: ObjectKey
  /** The name to show to people. */
  readonly name: string
  /** Id of the principal. */
  readonly owner: string
}

/**
 * Records an uploaded object as the bucket knows it. The record of the same object (by its ETag)
 * stays as it is, so repeating this changes nothing. Throws `object_not_found`, `storage_error`,
 * `key_not_indexable`, `index_unavailable`.
 */
export async function recordUpload(
  bucket: Bucket,
  index: FileIndex,
  { key, name, owner }: RecordRequest,
  now: Date,
): Promise<FileRecord> {
  const [head, known] = await Promise.all([
    requireObject(bucket, key, now),
    index.get(bucket.alias, key),
  ])
  if (known?.etag === head.etag) return known
  return index.put(toRecord(bucket, key, name, owner, head))
}

/**
 * The record of a file; where the index has none, what the bucket says of the object. Throws
 * `object_not_found` and `storage_error`.
 */
export async function findFile(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  now: Date,
): Promise<FileRecord> {
  const known = await index.get(bucket.alias, key)
  if (known !== null) return known
  const head = await requireObject(bucket, key, now)
  const { stem, extension } = splitFileName(key)
  return toRecord(bucket, key, stem + extension, null, head)
}

async function requireObject(bucket: Bucket, key: ObjectKey, now: Date): Promise<ObjectHead> {
  const head = await headObject(bucket, key, now)
  if (head === null) throw new ApiError('object_not_found', 'There is no object under this key.')
  return head
}

/**
 * `createdAt` is the object's own date, so that recording it twice makes one and the same record.
 */
const toRecord = (
  { alias }: Bucket,
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
