import { isSameUpload, type Place, reconcile, removal } from '../../core/reconcile.ts'
import { fileReplaced, hasOtherOwner, objectNotFound } from '../../core/record.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileRecord, isSameEntry } from '../../records/file-record.ts'

/**
 * Changes a display name, and confirms the record. `owner` is the only owner whose files the caller may
 * rename, or null for all. Throws `object_not_found` without a record or an object, `forbidden` for
 * another owner's file, `file_replaced` if the bucket has another object, and what `reconcile` throws.
 */
export async function renameFile(
  place: Place,
  key: ObjectKey,
  name: string,
  owner: string | null,
): Promise<FileRecord> {
  let first: FileRecord | null = null
  const renamed = await reconcile(place, key, async (seen) => {
    const { object, record, written } = seen
    if (record === null) {
      // This call has just removed it.
      if (written === null) throw objectNotFound()
      throw new ApiError(
        'object_not_found',
        'The index has no record of this file. Record it with POST /files.',
      )
    }
    if (owner !== null && record.owner !== owner) throw hasOtherOwner('files:delete')
    if (object === null) return removal(seen, record, place.now)
    first ??= record
    // Somebody may record another upload, or this one, meanwhile.
    if (!isSameUpload(record, object) || !isSameUpload(first, object)) throw fileReplaced()
    if (record.owner !== first.owner) throw fileReplaced()
    if (written !== undefined) return null
    // A person has chosen the name, so it has no status.
    const { status: _, ...file } = { ...record, name }
    if (isSameEntry(file, record)) return null
    return { record: file, event: [{ type: 'renamed', file }, file] }
  })
  if (!renamed) throw objectNotFound()
  return renamed
}
