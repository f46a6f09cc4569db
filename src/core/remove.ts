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
import { isNewObjectKey, keyCreatedAt } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { type FileIndex, indexUnavailable, noFileIndex } from '../records/file-index.ts'
import { deleteObjects } from '../storage/delete-objects.ts'
import { headObject } from '../storage/object.ts'
import { mayHaveHappened } from '../storage/storage-failure.ts'
import { announcerOf } from './announce.ts'
import { askToDelete } from './ask-app.ts'
import { reserve, undo, undoing } from './change.ts'
import { purgeCopies } from './purge.ts'
import { type Announce, forget, MAX_LAG_SECONDS } from './record.ts'

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
 * Deletes the objects of distinct keys, then copies and records. Returns each failed key's error.
 * Its record stays, so that a repeat finishes and sends its event. Other keys are not affected.
 */
export async function removeFiles(
  bucket: Bucket,
  keys: readonly ObjectKey[],
  { index, purge, announce, gone: absent }: Removal,
  now: Date,
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  const present = keys.filter((key) => !absent?.has(key))
  const deletions = await deleteObjects(bucket, present, now)
  for (const [key, failure] of deletions) if (failure !== null) failures.set(key, failure)
  // An object may be deleted despite an error, so its edge copy must be purged.
  const gone = keys.filter((key) => {
    const failure = failures.get(key)
    return failure === undefined || mayHaveHappened(failure)
  })
  const purged = gone.length === 0 ? Promise.resolve() : purge(gone)
  await Promise.allSettled([purged])
  await sixAtOnce(
    gone.filter((key) => !failures.has(key)),
    async (key) => {
      const finished = finish(bucket, key, index, announce, purged, now)
      await finished.catch((error: unknown) => failures.set(key, afterDeletion(error)))
    },
  )
  return failures
}

/** Returns what failed after an object was deleted, for a client that must know that it is. */
const afterDeletion = (error: unknown): ApiError =>
  copyOf(asApiError(error) ?? internalError(error), { deleted: true })

/** Forgets a file whose object is deleted, unless there is one again. */
async function finish(
  bucket: Bucket,
  key: ObjectKey,
  index: FileIndex,
  announce: Announce | null,
  purged: Promise<void>,
  now: Date,
): Promise<void> {
  const { alias } = bucket
  // The app learns of a deleted object, even if its record must stay for the next purge.
  const tell: Announce = async (...change) => {
    await announce?.(...change)
    await purged
  }
  if (index === noFileIndex)
    return void (await tell({ type: 'deleted', file: { bucket: alias, key } }, null, now))
  // Only a chosen key can be used again.
  if (!isNewObjectKey(key) && (await headObject(bucket, key, now, true)) !== null) return
  try {
    const known = await index.get(alias, key)
    if (known === null) {
      await purged
      await index.removeMalformed?.(alias, key)
    }
    // A recent record may look absent.
    const age = now.getTime() - keyCreatedAt(key)
    if (known === null && age > MAX_LAG_SECONDS * 1000) return
    await forget(bucket, index, key, known, tell, now)
  } catch (error) {
    // An index of the app may throw anything.
    const known = (isPresignerError(error) && asApiError(error)) || indexUnavailable(error)
    if (known.reason !== 'index') throw error
    const message = 'The object is deleted, but the index failed and has its record. Try again.'
    throw copyOf(known, { message })
  }
}

/**
 * Deletes the files of distinct keys, with copies and records. First asks the app and the plugins'
 * checks about all, counts each accepted one against the principal, and reserves it. Returns what
 * `removeFiles` returns, with the errors of these steps, such as `forbidden` and `rate_limited`. With
 * `isAsked`, the caller has asked about the delete already. With `isOne`, all count as one request. `gone`
 * and `purge` are those of `Removal`.
 */
export async function removeAll(
  c: AppContext,
  bucket: Bucket,
  keys: readonly ObjectKey[],
  {
    isAsked = false,
    isOne = false,
    gone,
    purge = (purged) => purgeCopies(c, bucket, purged),
  }: Partial<Pick<Removal, 'gone' | 'purge'>> & { isAsked?: boolean; isOne?: boolean } = {},
): Promise<ReadonlyMap<string, unknown>> {
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
  // The first one has already counted as the request.
  const counted = await pass(allowed, (key) =>
    isOne || key === allowed[0] ? undefined : countPrincipal(c, c.get('principal')),
  )
  const index = fileIndexOf(c)
  const removal = { index, purge, announce: announcerOf(c), gone }
  const failures = await undoing(c, async (reserved) => {
    const accepted = await pass(counted, (key) => reserve(c, deletion(key), reserved))
    const failures = await removeFiles(bucket, accepted, removal, timeOf(c))
    await undo(
      c,
      reserved.filter(({ key }) => refused.has(key) || failures.has(key)),
    )
    return failures
  })
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
