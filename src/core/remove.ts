import { sixAtOnce } from '../bucket/at-once.ts'
import type { Bucket } from '../bucket/bucket.ts'
import {
  type ApiError,
  asApiError,
  copyOf,
  internalError,
  isPresignerError,
} from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from '../http/app-env.ts'
import { fileIndexOf, timeOf } from '../http/deadline.ts'
import type { Deletion } from '../http/host.ts'
import { countPrincipal } from '../http/rate-limit.ts'
import { addWarning } from '../http/request-log.ts'
import { isNewObjectKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { type FileIndex, indexUnavailable, noFileIndex } from '../records/file-index.ts'
import type { FileRecord } from '../records/file-record.ts'
import { deleteObjects } from '../storage/delete-objects.ts'
import { deleteObject, headObject } from '../storage/object.ts'
import { unquoted } from '../storage/s3.ts'
import { mayHaveHappened, StorageFailure } from '../storage/storage-failure.ts'
import { announcerOf } from './announce.ts'
import { askToDelete } from './ask-app.ts'
import { reserve, undo, undoing } from './change.ts'
import { preconditionFailed } from './chosen-key.ts'
import { KeyHold } from './key-hold.ts'
import { purgeCopies } from './purge.ts'
import {
  type Announce,
  type Decision,
  inferDecision,
  isSameUpload,
  type Place,
  reconcile,
  removal,
  type Seen,
} from './reconcile.ts'

/** A file to delete. With an ETag in any quotes, only if the bucket has that object. */
export interface FileToDelete {
  readonly key: ObjectKey
  readonly etag?: string | undefined
}

/** What else a deletion changes. */
export interface Removal {
  readonly index: FileIndex
  /** Purges the edge copies of all these objects, in one call. */
  readonly purge: (keys: readonly ObjectKey[]) => Promise<void>
  /** Null if nobody listens. */
  readonly announce: Announce | null
  /** Keys whose object is gone already. They get no DELETE. */
  readonly gone?: ReadonlySet<ObjectKey> | undefined
}

/**
 * Deletes the objects of distinct keys, then copies and records, and what is kept of them. Returns each
 * failed key's error: `precondition_failed` for an object with another ETag than the one that was asked
 * for. Its record stays, so that a repeat finishes and sends its event. Other keys are not affected.
 */
export async function removeFiles(
  bucket: Bucket,
  files: readonly FileToDelete[],
  { index, purge, announce, gone: absent }: Removal,
  now: Date,
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  const present = files.filter(({ key }) => !absent?.has(key))
  for (const [key, failure] of await deleteEach(bucket, present, now))
    if (failure !== null) failures.set(key, failure)
  // An object may be deleted despite an error, so its edge copy must be purged.
  const gone = files.filter(({ key }) => {
    const failure = failures.get(key)
    return failure === undefined || mayHaveHappened(failure)
  })
  const purged = gone.length === 0 ? Promise.resolve() : purge(gone.map(({ key }) => key))
  await Promise.allSettled([purged])
  // The app learns of a deleted object, even if its record must stay for the next purge.
  const tell: Announce = async (...change) => {
    await announce?.(...change)
    await purged
  }
  const place = { bucket, index, announce: tell, purge: null, now }
  await sixAtOnce(
    gone.filter(({ key }) => !failures.has(key)),
    async (file) => {
      const finished = eraseRecord(place, file, purged)
      await finished.catch((error: unknown) => failures.set(file.key, afterDeletion(error)))
    },
  )
  return failures
}

/** Returns what failed after an object was deleted, for a client that must know that it is. */
const afterDeletion = (error: unknown): ApiError =>
  copyOf(asApiError(error) ?? internalError(error), { deleted: true })

/** Deletes objects, together if nobody has given an ETag. */
async function deleteEach(
  bucket: Bucket,
  files: readonly FileToDelete[],
  now: Date,
): Promise<ReadonlyMap<ObjectKey, unknown>> {
  const any = files.filter(({ etag }) => etag === undefined).map(({ key }) => key)
  const results = new Map<ObjectKey, unknown>(await deleteObjects(bucket, any, now))
  await sixAtOnce(files, async ({ key, etag }) => {
    if (etag === undefined) return
    const deleted = deleteMatching(bucket, key, etag, now).then(() => null)
    results.set(key, await deleted.catch((error: unknown) => error))
  })
  return results
}

/**
 * Deletes the object with an ETag. Does nothing without an object. Throws `precondition_failed` for
 * another one, which can still come between the look and the delete, unless the bucket compares.
 */
async function deleteMatching(
  bucket: Bucket,
  key: ObjectKey,
  etag: string,
  now: Date,
): Promise<void> {
  const requireSame = async (cause?: unknown): Promise<boolean> => {
    const head = await headObject(bucket, key, now)
    if (head !== null && unquoted(head.etag) !== unquoted(etag))
      throw preconditionFailed(head, cause)
    return head !== null
  }
  if (!bucket.conditionalDelete) {
    if (await requireSame()) await deleteObject(bucket, key, now)
    return
  }
  try {
    await deleteObject(bucket, key, now, { ifMatch: `"${unquoted(etag)}"` })
  } catch (error) {
    const { cause } = Object(error)
    if (!(cause instanceof StorageFailure && cause.status === 412)) throw error
    if (await requireSame(cause)) throw error
  }
}

/**
 * Removes the record of a file whose object is deleted, and then what is kept of it, unless the record
 * is of an object that is there again. With an ETag, only a record with that one. A missing record causes
 * no event, except without an index.
 */
async function eraseRecord(
  place: Place,
  { key, etag }: FileToDelete,
  purged: Promise<void>,
): Promise<void> {
  const { bucket, index, announce, now } = place
  const { alias } = bucket
  if (index === noFileIndex)
    return void (await announce?.({ type: 'deleted', file: { bucket: alias, key } }, null, now))
  const isAsked = (record: FileRecord) =>
    etag === undefined || unquoted(record.etag) === unquoted(etag)
  const decide = async (seen: Seen): Promise<Decision | null> => {
    const { object, record, written, removed, kept } = seen
    if (written !== null || removed !== null) {
      // Somebody may have uploaded the same bytes again, within a second.
      if (record === null && removed !== null && object !== null && isSameUpload(removed, object))
        return { record: removed, event: [{ type: 'recorded', file: removed }, removed] }
      return (await inferDecision(place, seen))?.[1] ?? null
    }
    const isLater = record !== null && object !== null && isSameUpload(record, object)
    if (record !== null && isAsked(record) && !isLater)
      // The event has a time before the delete, so that a later upload has a later event.
      return { ...(await removal({ ...seen, asked: now }, record, now, false)), purges: false }
    const known = etag === undefined ? null : await kept()
    const isKept = etag === undefined || (known !== null && isAsked(known.record))
    // Workers KV may not show a recent record yet, or a kept one.
    if (record === null && object === null) {
      await purged
      return { record: null, kept: isKept ? null : undefined, isLast: true }
    }
    if (isKept) await index.kept?.remove(alias, key)
    return null
  }
  try {
    // Only a chosen key can be used again.
    const look = async () => (isNewObjectKey(key) ? null : headObject(bucket, key, now, true))
    await reconcile(place, key, decide, { look, isRecordFirst: true })
  } catch (error) {
    // An index of the app may throw anything.
    const known = (isPresignerError(error) && asApiError(error)) || indexUnavailable(error)
    if (known.reason !== 'index') throw error
    const message =
      'The object was deleted, but the index failed and may have its record. Repeat the request with the ETag of that object, so that it deletes no later one.'
    throw copyOf(known, { message })
  }
}

/**
 * Deletes the files of distinct keys, with copies and records. First asks the app and the plugins'
 * checks about all, counts each accepted one against the principal, and reserves it. Returns what
 * `removeFiles` returns, with the errors of these steps, such as `forbidden` and `rate_limited`. With
 * `isAsked`, the caller has asked about the delete already. With `isOne`, all count as one request. With
 * `isHeld`, the caller holds the keys. Otherwise, chosen keys that another request copies or moves are
 * `unavailable`. `gone` and `purge` are those of `Removal`.
 */
export async function removeAll(
  c: AppContext,
  bucket: Bucket,
  files: readonly FileToDelete[],
  {
    isAsked = false,
    isOne = false,
    isHeld = false,
    gone,
    purge = (purged) => purgeCopies(c, bucket, purged),
  }: Partial<Pick<Removal, 'gone' | 'purge'>> & {
    readonly isAsked?: boolean
    readonly isOne?: boolean
    readonly isHeld?: boolean
  } = {},
): Promise<ReadonlyMap<string, unknown>> {
  const keys = files.map(({ key }) => key)
  const refused = new Map<string, unknown>()
  const pass = async (asked: readonly ObjectKey[], step: (key: ObjectKey) => unknown) => {
    const thrown: unknown[] = []
    const steps = asked.map(async (key) => {
      try {
        await step(key)
      } catch (error) {
        if (asApiError(error) === null) thrown.push(error)
        else refused.set(key, error)
      }
    })
    await Promise.all(steps)
    if (thrown.length > 0) throw thrown[0]
    return asked.filter((key) => !refused.has(key))
  }
  const deletion = (key: ObjectKey): Deletion => ({ type: 'delete', bucket: bucket.alias, key })
  const allowed = isAsked ? keys : await pass(keys, (key) => askToDelete(c, deletion(key)))
  // The rate limit has counted the first one with the request.
  const counted = await pass(allowed, (key) =>
    isOne || key === allowed[0] ? undefined : countPrincipal(c, c.get('principal')),
  )
  const index = fileIndexOf(c)
  const removal = { index, purge, announce: announcerOf(c), gone }
  // A generated key is never the target of a copy or a move.
  const isFree = (key: ObjectKey): boolean => isHeld || isNewObjectKey(key)
  const hold = new KeyHold(c)
  const remove = () =>
    undoing(c, async (reserved) => {
      await hold.take(counted.filter((key) => !isFree(key)).map((key) => [bucket, key]))
      const free = await pass(counted, (key) => isFree(key) || hold.require(bucket, key))
      const accepted = await pass(free, (key) => reserve(c, deletion(key), reserved))
      const deleted = files.filter(({ key }) => accepted.includes(key))
      const failures = await removeFiles(bucket, deleted, removal, timeOf(c))
      await undo(
        c,
        reserved.filter(({ key }) => refused.has(key) || failures.has(key)),
      )
      return failures
    })
  const removing = remove().finally(() => hold.release())
  // Even if the client disconnects, since others wait for these keys.
  c.executionCtx.waitUntil(removing.catch(() => undefined))
  const failures = await removing
  return new Map([...refused, ...failures])
}

/** Adds a warning with the number of files that were not `done`, by code, and the first reason. */
export function warnOfFailures(
  c: AppContext,
  done: 'deleted' | 'recorded' | 'copied' | 'moved',
  failures: readonly unknown[],
): void {
  const [first] = failures
  if (first === undefined) return
  const counts = new Map<string, number>()
  for (const failure of failures) {
    const code = asApiError(failure)?.code ?? 'internal'
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  const codes = [...counts].map(([code, count]) => `${count} ${code}`).join(', ')
  addWarning(c, `files not ${done}: ${codes} (${describe(first)})`)
}
