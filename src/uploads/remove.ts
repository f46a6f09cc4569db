import { sixAtOnce } from '../bucket/at-once.ts'
import type { Bucket } from '../bucket/bucket.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import { isNewObjectKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { deleteObjects } from '../storage/delete-objects.ts'
import { headObject } from '../storage/object.ts'
import { mayHaveHappened } from '../storage/storage-failure.ts'

/** What else a deletion changes. */
export interface Removal {
  readonly index: FileIndex
  /** Purges the edge copies of all these objects, in one call. */
  readonly purge: (keys: readonly ObjectKey[]) => Promise<void>
  /** Tells the app that an object is deleted. */
  readonly tell: (key: ObjectKey) => Promise<void>
}

/**
 * Deletes the objects of distinct keys, then their edge copies, then their records. Returns the
 * error of each key that is not completely deleted. Its record stays, so that a repeat finishes the
 * deletion. A failure of one key doesn't affect the others. Leaves the record of an upload to a
 * chosen key that comes meanwhile.
 */
export async function removeFiles(
  bucket: Bucket,
  keys: readonly ObjectKey[],
  { index, purge, tell }: Removal,
  now: Date,
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  const deletions = await deleteObjects(bucket, keys, now)
  for (const [key, failure] of deletions) if (failure !== null) failures.set(key, failure)
  // An object may be deleted despite an error, so its edge copy must be purged.
  const purged = keys.filter((key) => {
    const failure = failures.get(key)
    return failure === undefined || mayHaveHappened(failure)
  })
  const unpurged = purged.length === 0 ? null : await failureOf(purge(purged))
  await sixAtOnce(
    purged.filter((key) => !failures.has(key)),
    async (key) => {
      if (await isThereAgain(bucket, index, key, now)) return
      // The object is deleted, even if another step fails. A repeat sends the event again.
      const untold = await failureOf(tell(key))
      const failure = unpurged ?? untold ?? (await failureOf(index.remove(bucket.alias, key)))
      if (failure !== null) failures.set(key, failure.error)
    },
  )
  return failures
}

/** How far the clock of the bucket may be behind ours. */
const MAX_SKEW_MILLISECONDS = 60_000

/**
 * Tells whether somebody has uploaded to the key after its object was deleted, and has recorded
 * that. Only a chosen key can be used again. Asks the bucket only about a new record.
 */
async function isThereAgain(
  bucket: Bucket,
  index: FileIndex,
  key: ObjectKey,
  now: Date,
): Promise<boolean> {
  if (isNewObjectKey(key)) return false
  const known = await index.get(bucket.alias, key).catch(() => null)
  if (known === null || Date.parse(known.createdAt) < now.getTime() - MAX_SKEW_MILLISECONDS)
    return false
  const head = await headObject(bucket, key, now).catch(() => null)
  return head !== null && head.etag === known.etag
}

/** Resolves with what `work` throws, or with null. */
const failureOf = (work: Promise<unknown>): Promise<{ readonly error: unknown } | null> =>
  work.then(
    () => null,
    (error: unknown) => ({ error }),
  )
