import {
  inferDecision,
  isSameUpload,
  type Place,
  reconcile,
  removal,
} from '../../core/reconcile.ts'
import { fileReplaced, hasOtherOwner, objectNotFound } from '../../core/record.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { type FileRecord, isSameEntry } from '../../records/file-record.ts'

/**
 * Changes a display name, and confirms the record. `owner` is the only owner whose files the caller may
 * rename, or null for all.
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
    if (record === null)
      throw new ApiError(
        'object_not_found',
        'The index has no record of this file. Record it with POST /files.',
      )
    const isOther = object !== null && first !== null && !isSameUpload(first, object)
    if (written !== null && (object === null || isOther)) {
      const decision = (await inferDecision(place, seen))?.[1]
      if (decision) return decision
    }
    // Somebody may record another upload, or this one, meanwhile.
    if (isOther || (first !== null && record.owner !== first.owner)) throw fileReplaced()
    if (owner !== null && record.owner !== owner) throw hasOtherOwner('files:delete')
    if (object === null) return removal(seen, record, place.now)
    if (!isSameUpload(record, object)) throw fileReplaced()
    first ??= record
    // A person has chosen the name, so it has no status.
    const { status: _, ...file } = { ...record, name }
    if (written !== null || isSameEntry(file, record)) return null
    return { record: file, event: [{ type: 'renamed', file }, file] }
  })
  if (!renamed) throw objectNotFound()
  return renamed
}
