import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { bucketUrl } from '../../bucket/bucket-url.ts'
import { Allowance } from '../../core/allowance.ts'
import { askToDelete } from '../../core/ask-app.ts'
import { ApiError, asApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { fileIndexOf, timeOf } from '../../http/deadline.ts'
import { byUtf8 } from '../../keys/encodings.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { deletesMany, fitsXml } from '../../storage/delete-objects.ts'
import { headObject } from '../../storage/object.ts'

/** What a caller wants to delete. */
export interface ErasureRequest {
  readonly bucket: Bucket
  /** Returns the bucket with the access key that lists uploads: upkeep's own one if there is one. */
  readonly listing: () => Bucket | Promise<Bucket>
  /** Ends with `/`. */
  readonly prefix: string
  /** Only what is older than this, in milliseconds since 1970. A whole second, as buckets report it. */
  readonly before: number
  /** Whether to delete nothing, and only to count what would be deleted now. Doesn't ask the app either. */
  readonly dryRun: boolean
}

export interface ErasureOptions {
  /** Requests to the bucket that one call may send. */
  readonly requests: number
}

/** What one call deletes at most, counting what it may not delete. */
const MAX_DELETED = 100
/** Until it is known whether the server has DeleteObjects, each object may need its own request. */
const FIRST_DELETED = 10

/** One call: what it is for, what it has done, and how much it may still do. */
export class Erasure {
  readonly c: AppContext
  readonly request: ErasureRequest
  /** What it has done. */
  readonly tally = {
    /** Grants that were revoked, and drop boxes that were closed. */
    shares: 0,
    /** Objects, with their records and edge copies. */
    deleted: 0,
    /** Old versions and delete markers. Null if the bucket can't list them. */
    versions: 0 as number | null,
    /** Unfinished uploads in parts. Null if the bucket can't list them. */
    uploads: 0 as number | null,
    /** Records without an object, also those that the index keeps. */
    records: 0,
    /** Objects and entries of the index whose keys no URL can name. They stay. */
    unreadable: 0,
  }
  /** Why each key is left. */
  readonly failures = new Map<ObjectKey, unknown>()
  readonly #allowance: Allowance
  /** Webhooks without a queue are requests too. */
  readonly #requestsOfEvent: number
  #left = MAX_DELETED

  constructor(c: AppContext, request: ErasureRequest, options: ErasureOptions) {
    const { after } = c.env.instance
    this.c = c
    this.request = request
    this.#allowance = new Allowance(options.requests)
    this.#requestsOfEvent = after?.requests ?? 0
  }

  /** Takes requests. Returns false, and takes nothing, if this call may do no more. */
  take(requests: number): boolean {
    return this.#left > 0 && this.#allowance.take(requests)
  }

  /** Counts items that this call has handled, next to those that it takes. */
  spend(items: number): void {
    this.#left -= items
  }

  /** Returns the first items that this call may still handle, and takes their requests. */
  takeItems<T>(items: readonly T[], requestsOf: (item: T) => number, max = MAX_DELETED): T[] {
    const taken: T[] = []
    for (const item of items) {
      if (taken.length >= max || !this.take(requestsOf(item))) break
      this.#left -= 1
      taken.push(item)
    }
    return taken
  }

  /**
   * Returns the first items that this call may delete, and takes the requests to delete them, and
   * those that `requestsOf` adds.
   */
  takeDeletions<T extends { readonly key: ObjectKey }>(
    items: readonly T[],
    requestsOf: (item: T) => number,
  ): T[] {
    if (this.request.dryRun) return this.takeItems(items, requestsOf)
    const many = deletesMany(this.request.bucket)
    if (items.length === 0 || !this.take(1)) return []
    const each = (key: ObjectKey) => (many === true && fitsXml(key) ? 0 : 1)
    const max = many === undefined ? FIRST_DELETED : MAX_DELETED
    return this.takeItems(items, (item) => each(item.key) + requestsOf(item), max)
  }

  /** Returns how many more requests `removeAll` needs for a file: it looks whether a chosen key is used again. */
  requestsAfter(key: ObjectKey): number {
    if (this.request.dryRun) return 0
    return this.#requestsOfEvent + (isNewObjectKey(key) ? 0 : 2)
  }

  /**
   * Tells whether the app and the plugins allow deleting `key`. If one of them fails, the key is left,
   * and the others are still deleted.
   */
  ask(key: ObjectKey): Promise<boolean> {
    const { alias: bucket } = this.request.bucket
    if (this.request.dryRun) return Promise.resolve(true)
    return this.attempt(key, async () => {
      try {
        await askToDelete(this.c, { type: 'delete', bucket, key })
      } catch (cause) {
        if (asApiError(cause) !== null) throw cause
        throw new ApiError('internal', 'This app failed to decide on it. See the log.', { cause })
      }
    })
  }

  /**
   * Forgets what else the index has: locks, and kept records after the key `after`, unless their objects are
   * still there. Resolves with the last of these keys if this call is full, or null.
   */
  async forgetRest(after = ''): Promise<string | null> {
    const { bucket, before, dryRun } = this.request
    if (dryRun) return null
    const index = fileIndexOf(this.c)
    for (const prefix of this.spellings())
      await index.forgetLocks?.(bucketUrl(bucket), prefix, new Date(before))
    const { kept } = index
    if (kept === undefined) return null
    for (const prefix of this.spellings().toSorted(byUtf8)) {
      let cursor: string | undefined
      do {
        const page = await kept.list({ bucket: bucket.alias, prefix, limit: MAX_DELETED, cursor })
        const old = page.records.flatMap(({ record: { key, createdAt } }) =>
          Date.parse(createdAt) < before && byUtf8(key, after) > 0 ? [key] : [],
        )
        const taken = this.takeItems(old, () => 1)
        await sixAtOnce(taken, (key) =>
          this.attempt(key, async () => {
            // The app may have refused to delete it, so it keeps its owner.
            if ((await headObject(bucket, key, timeOf(this.c), true)) !== null) return
            await kept.remove(bucket.alias, key)
            this.tally.records += 1
          }),
        )
        if (taken.length < old.length) return taken.at(-1) ?? after
        ;({ cursor } = page)
      } while (cursor !== undefined)
    }
    return null
  }

  /** Returns the prefix, also decomposed if older records of the same objects may have it like that. */
  spellings(): string[] {
    const { bucket, prefix } = this.request
    return [...new Set([prefix, ...(bucket.normalizesKeys ? [prefix.normalize('NFD')] : [])])]
  }

  /** Tells whether `key` is below the prefix, as the bucket stores it. */
  isBelow(key: string): boolean {
    const { bucket, prefix } = this.request
    return (bucket.normalizesKeys ? key.normalize() : key).startsWith(prefix)
  }

  /** Notes why `key` is left. Throws `error` if it is not an ApiError. */
  fail(key: ObjectKey, error: unknown): void {
    if (asApiError(error) === null) throw error
    this.failures.set(key, error)
  }

  /** Tells whether `work` succeeds. If it throws an ApiError, notes it for `key`. */
  async attempt(key: ObjectKey, work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      this.fail(key, error)
      return false
    }
  }
}

/** Resolves with the result of `list`, or null if the bucket can't list that. */
export async function ifSupported<T>(list: Promise<T>): Promise<T | null> {
  try {
    return await list
  } catch (error) {
    if (asApiError(error)?.code === 'not_supported') return null
    throw error
  }
}
