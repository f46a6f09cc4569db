import type { Bucket } from '../bucket/bucket.ts'
import { bucketUrl } from '../bucket/bucket-url.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from '../http/app-env.ts'
import { fileIndexOf } from '../http/deadline.ts'
import { addWarning } from '../http/request-log.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { KeyLock } from '../records/file-index.ts'
import { mayHaveHappened, StorageFailure } from '../storage/storage-failure.ts'

/**
 * More than twice as long as a call sends requests for its keys: a request that was sent last may take
 * effect as long after that.
 */
const LEASE_SECONDS = 300

/** A key of a bucket, the same for all aliases of the bucket. */
export type BucketKey = readonly [bucket: Bucket, key: ObjectKey]

/**
 * The keys that a call holds, so that no other one copies, moves or deletes them meanwhile. Without locks in
 * the index, everybody holds every key. Others wait for them: run the work until `release` in `waitUntil`.
 */
export class KeyHold {
  readonly #c: AppContext
  readonly #locks = new Map<string, KeyLock>()
  readonly #kept = new Set<string>()

  constructor(c: AppContext) {
    this.#c = c
  }

  /** Takes what it can of these keys. Throws `unavailable`, and may have some of them then. */
  async take(keys: readonly BucketKey[]): Promise<void> {
    const { lock } = fileIndexOf(this.#c)
    if (lock === undefined) return
    for (const [bucket, own] of Map.groupBy(keys, ([bucket]) => bucketUrl(bucket))) {
      const names = new Set(own.map(([, key]) => key))
      this.#locks.set(bucket, await lock(bucket, [...names], LEASE_SECONDS))
    }
  }

  /** Throws `unavailable` unless this call holds the key, of those that it has asked for. */
  require(bucket: Bucket, key: ObjectKey): void {
    const lock = this.lockOf(bucket)
    if (lock === undefined || lock.held.has(key)) return
    // As long as somebody holds it already: usually a second, and longer if that call was killed.
    const seconds = Math.min(lock.busySeconds, LEASE_SECONDS - lock.busySeconds)
    throw new ApiError(
      'unavailable',
      'Another request copies, moves or deletes one of these keys. Send it again.',
      { reason: 'storage', retryAfterSeconds: Math.max(1, seconds) },
    )
  }

  /** Returns the lock of the keys of a bucket, or undefined without locks. */
  lockOf(bucket: Bucket): KeyLock | undefined {
    return this.#locks.get(bucketUrl(bucket))
  }

  /** Keeps these keys until the lock ends by itself, if `error` is of a request that may still take effect. */
  keepAfter(error: unknown, keys: readonly ObjectKey[]): void {
    const cause = error instanceof ApiError ? error.cause : null
    const isWrite = cause instanceof StorageFailure && /^(?:Copy|Delete)/.test(cause.operation)
    if (isWrite && mayHaveHappened(error)) for (const key of keys) this.#kept.add(key)
  }

  /** Lets others have the keys. Only warns if that fails, since the lock ends by itself. */
  async release(): Promise<void> {
    for (const lock of this.#locks.values()) {
      const keys = [...lock.held.keys()].filter((key) => !this.#kept.has(key))
      await lock.release(keys).catch((error: unknown) => {
        addWarning(this.#c, `keys not released: ${describe(error)}`)
      })
    }
  }
}
