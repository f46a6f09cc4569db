import { ApiError } from '../../errors/api-error.ts'
import type { Settle } from '../../http/host.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { FileChange } from '../../records/file-event.ts'
import { getMany } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'

/** For this many seconds before an upload expires, nobody can confirm it any more. */
export const CLOSED_SECONDS = 3600

/**
 * Throws `object_not_found` for an upload that may expire soon, so that no walk deletes what somebody has
 * just confirmed: whoever is accepted, was accepted an hour before the walk may delete the object. That
 * is longer than a request takes, and than an index needs to show a change.
 *
 * `known` are the records of the object under all aliases of its bucket. Only `unconfirmed` ones expire. So
 * a repeat for a confirmed file passes, and so does the upload to a key that had no record.
 */
export function refuseLate(
  change: FileChange,
  known: readonly FileRecord[],
  expireSeconds: number,
  now: Date,
): void {
  if (!mayBeLate(change, expireSeconds, now)) return
  if (known.some(isConfirmed) || !known.some(({ status }) => status === 'unconfirmed')) return
  throw new ApiError(
    'object_not_found',
    `This upload was not recorded within ${Math.floor(expireSeconds / 86_400)} days.`,
  )
}

/** Tells whether a change is of a generated key whose object is nearly old enough to expire. */
function mayBeLate(
  change: FileChange,
  expireSeconds: number,
  now: Date,
): change is Exclude<FileChange, { type: 'deleted' }> {
  if (change.type === 'deleted' || !isNewObjectKey(change.file.key)) return false
  const age = now.getTime() - Date.parse(change.file.createdAt)
  return age >= (expireSeconds - CLOSED_SECONDS) * 1000
}

/** Returns the seam with which the plugin refuses late records, in the mode `expire`. */
export const settleLate =
  (
    /** All aliases of the bucket that an alias names, with that one. */
    aliasesOf: (alias: string) => readonly string[],
    expireSeconds: number,
    clock: () => Date = () => new Date(),
  ): Settle =>
  async (change, { index }) => {
    const now = clock()
    if (!mayBeLate(change, expireSeconds, now)) return
    const { bucket, key } = change.file
    const found = await Promise.all(aliasesOf(bucket).map((alias) => getMany(index, alias, [key])))
    refuseLate(change, found.flat(), expireSeconds, now)
  }
