import { ApiError } from '../errors/api-error.ts'
import { APP_MILLISECONDS, inTime } from '../errors/deadline.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileRecord } from './file-record.ts'

export interface ListInput {
  /** Alias of the bucket. */
  readonly bucket: string
  /** Only keys that start with this. */
  readonly prefix: string
  /** 1 to 1000. */
  readonly limit: number
  /** Workers KV's own cursor. */
  readonly cursor?: string
}

export interface ListedPage {
  readonly records: FileRecord[]
  /**
   * Start of the next page, or undefined after the last page. A short or empty page may not be the
   * last.
   */
  readonly cursor: string | undefined
  /** Number of entries on this page that are not valid records. */
  readonly unreadable: number
}

/** The index of files. */
export interface FileIndex {
  /**
   * Returns the record of one file, or null. May be up to 60 seconds older than a change in another
   * location.
   */
  get(bucket: string, key: ObjectKey): Promise<FileRecord | null>
  /**
   * Stores `record`, and returns what was stored. Throws `key_not_indexable` and
   * `index_unavailable`.
   */
  put(record: FileRecord): Promise<FileRecord>
  remove(bucket: string, key: ObjectKey): Promise<void>
  /** Throws `key_not_indexable` for a key that `put` would refuse. Optional. */
  requireIndexable?(bucket: string, key: ObjectKey): void
  /**
   * Returns one page in the order of the keys. For keys that this Worker created, that is newest
   * first.
   */
  list(input: ListInput): Promise<ListedPage>
}

/**
 * Returns `index` with a limit for each operation: `index_unavailable` after `milliseconds`, and
 * `storage_busy` at the deadline of `now`. The operation may still take effect.
 */
export function timedIndex(
  index: FileIndex,
  now: Date,
  milliseconds = APP_MILLISECONDS,
): FileIndex {
  if (index === noFileIndex) return index
  const timed = <T>(operate: () => Promise<T>): Promise<T> =>
    inTime(milliseconds, now, operate, () =>
      indexUnavailable(new Error(`It did not respond within ${milliseconds / 1000} seconds.`)),
    )
  return {
    get: (...key) => timed(() => index.get(...key)),
    put: (record) => timed(() => index.put(record)),
    remove: (...key) => timed(() => index.remove(...key)),
    list: (input) => timed(() => index.list(input)),
    requireIndexable: (...key) => index.requireIndexable?.(...key),
  }
}

/** Returns the error for an operation that failed. */
export const indexUnavailable = (cause: unknown, retryAfterSeconds?: number): ApiError =>
  new ApiError('index_unavailable', 'The index did not respond. Try again.', {
    cause,
    retryAfterSeconds,
  })

/** The index of a presigner without an index. It finds nothing, and can't list files. */
export const noFileIndex: FileIndex = {
  get: async () => null,
  put: async (record) => record,
  remove: async () => {},
  async list() {
    throw new ApiError('not_supported', 'No file index is configured, so nothing can be listed.')
  },
}
