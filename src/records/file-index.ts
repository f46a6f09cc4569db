import { sixAtOnce } from '../bucket/at-once.ts'
import { ApiError } from '../errors/api-error.ts'
import { APP_MILLISECONDS, inTime, within } from '../errors/deadline.ts'
import { type ObjectKey, objectKeyError } from '../keys/object-key.ts'
import type { FileAnswers } from './file-query.ts'
import type { FileRecord } from './file-record.ts'
import type { RunSql } from './sql.ts'

export interface ListInput {
  /** Alias of the bucket. */
  readonly bucket: string
  /** Only keys that start with this, in the same case. In SQL, `_` and `%` are wildcards. */
  readonly prefix: string
  /** 1 to 1000. */
  readonly limit: number
  /** The index's own cursor. */
  readonly cursor?: string | undefined
}

export interface ListedPage {
  readonly records: FileRecord[]
  /** Start of the next page, or undefined after the last one. A page may be short or empty. */
  readonly cursor: string | undefined
  /** Number of entries on this page that are not valid records, or not those that were asked for. */
  readonly unreadable: number
}

/** Entries of the index that no request can reach. */
export interface StrayPage {
  /** How many entries of each alias, and how many malformed ones. */
  readonly aliases: Readonly<Record<string, number>>
  readonly unreadable: number
  readonly cursor: string | undefined
}

/** A record that was removed or replaced by anything but its owner's act. */
export interface KeptRecord {
  readonly record: FileRecord
  /** When it was kept, ISO 8601 in UTC. */
  readonly keptAt: string
  /** When it expires, ISO 8601 in UTC. Null while the bucket has an object of its size under its key. */
  readonly expiresAt: string | null
}

export interface KeptPage {
  readonly records: readonly KeptRecord[]
  /** Start of the next page, or undefined after the last one. A page may be short or empty. */
  readonly cursor: string | undefined
}

/** The kept records of an index: at most one for each key. It may return those that have expired. */
export interface KeptRecords {
  get(bucket: string, key: ObjectKey): Promise<KeptRecord | null>
  /** Returns those of up to 1000 distinct keys that are kept, in any order. */
  getMany(bucket: string, keys: readonly ObjectKey[]): Promise<readonly KeptRecord[]>
  /** Returns one page in the order of the keys. */
  list(input: ListInput): Promise<KeptPage>
  put(kept: KeptRecord): Promise<void>
  remove(bucket: string, key: ObjectKey): Promise<void>
}

/** What a write relies on, and what else it changes. */
export interface IndexChange {
  /**
   * The record that the writer has seen, or null for none. If the index has another one by now, the
   * write changes nothing. Undefined for a write that takes the place of any record.
   */
  readonly over?: FileRecord | null | undefined
  /**
   * What is kept of this key from now on, or null for nothing. Undefined for what is kept already. A
   * record is kept before the write takes its place, and forgotten after it.
   */
  readonly kept?: KeptRecord | null | undefined
}

/**
 * Keys that one request holds, so that no other one copies or moves them meanwhile. Each key has a
 * journal, a text that outlives the lock for `JOURNAL_SECONDS`.
 */
export interface KeyLock {
  /** The keys that it got, each with its journal or null. Another request holds the others. */
  readonly held: ReadonlyMap<string, string | null>
  /** Seconds after which all the others are free, if their request doesn't end before. */
  readonly busySeconds: number
  /** Stores the journal of a key. Resolves with false if the lock has expired and somebody else has the key. */
  note(key: string, journal: string): Promise<boolean>
  /** Lets others have these keys at once. */
  release(keys: readonly string[]): Promise<void>
}

/** How long a journal outlives its lock: 3 days. */
export const JOURNAL_SECONDS = 3 * 24 * 60 * 60

/** The index of files. A malformed record counts as missing. */
export interface FileIndex {
  /** Returns one record or null, up to 60 seconds older than a change in another location. */
  get(bucket: string, key: ObjectKey): Promise<FileRecord | null>
  /**
   * Stores a record. Returns it as it is stored, or null if the index has another record than `over`.
   * Throws `key_not_indexable` and `unavailable`.
   */
  put(record: FileRecord, change?: IndexChange): Promise<FileRecord | null>
  /** Removes a record. Resolves with false if the index has another record than `over`. */
  remove(bucket: string, key: ObjectKey, change?: IndexChange): Promise<boolean>
  /** Keeps what others than its owner have removed. Optional: otherwise, that is lost. */
  readonly kept?: KeptRecords
  /** Seconds in which a change may be missing from lists. Default: 0. */
  readonly lagSeconds?: number
  /** What it answers beyond lists by prefix. Workers KV answers nothing. */
  readonly answers?: FileAnswers
  /** Throws `key_not_indexable` for a key that `put` would refuse. Optional. */
  requireIndexable?(bucket: string, key: ObjectKey): void
  /**
   * Returns the records of up to 1000 distinct keys, without those that have none, in any order.
   * Optional: otherwise, `getMany` asks for each key, six at once.
   */
  getMany?(bucket: string, keys: readonly ObjectKey[]): Promise<FileRecord[]>
  /**
   * Returns one page of entries that no request can reach: of aliases that are not `known`, and those that
   * are malformed. Optional.
   */
  strayEntries?(known: readonly string[], cursor?: string): Promise<StrayPage>
  /**
   * Takes each of up to 100 distinct keys that nobody holds, for `seconds`, all in one step: of two
   * requests at once, one gets a key. `bucket` is the same text for all aliases of a bucket. Optional:
   * without it, files can't be moved.
   */
  lock?(bucket: string, keys: readonly string[], seconds: number): Promise<KeyLock>
  /**
   * Forgets keys below a prefix, and their journals, whose locks ended before a time: never a key that
   * somebody holds. An index with `lock` needs it, to forget a person.
   */
  forgetLocks?(bucket: string, prefix: string, before: Date): Promise<void>
  /** Runs statements in its database, whose tables start with `presigner_`: for what plugins remember. Optional. */
  readonly sql?: RunSql
  /** Returns one page in the order of the keys: newest first for those of this Worker. */
  list(input: ListInput): Promise<ListedPage>
}

/**
 * Returns `index` with a limit for each operation: `unavailable` after `milliseconds`, and
 * at the deadline of `now`. The operation may still take effect.
 *
 * Checks every record, since a host's index may compare keys in its own way, such as without case:
 * the record of another file is `unavailable`, and a list leaves it out as unreadable.
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
  const page = <P extends ListedPage>(found: P, input: ListInput): P => {
    const records = found.records.filter(
      (record) =>
        isRecord(record, input.bucket) &&
        record.key.startsWith(input.prefix) &&
        objectKeyError(record.key) === null,
    )
    return {
      ...found,
      records,
      cursor: found.cursor ?? undefined,
      unreadable: found.unreadable + found.records.length - records.length,
    }
  }
  const { lagSeconds = 0, answers, kept } = index
  const lock = index.lock?.bind(index)
  const forgetLocks = index.forgetLocks?.bind(index)
  const strayEntries = index.strayEntries?.bind(index)
  return {
    lagSeconds,
    ...(lock && {
      async lock(bucket, keys, seconds) {
        let locking: Promise<KeyLock> | undefined
        const held = await timed(() => {
          locking = lock(bucket, keys, seconds)
          return locking
        }).catch((error: unknown) => {
          // Nobody would release what it gets too late.
          locking?.then((late) => late.release([...late.held.keys()])).catch(() => undefined)
          throw error
        })
        return {
          ...held,
          note: (...noted) => timed(() => held.note(...noted)),
          // Also after the deadline: others wait for it.
          release: (...released) => within(milliseconds, held.release(...released)),
        }
      },
    }),
    ...(forgetLocks && { forgetLocks: (...locks) => timed(() => forgetLocks(...locks)) }),
    ...(strayEntries && {
      strayEntries: (...page) => timed(() => strayEntries(...page)),
    }),
    ...(answers && {
      answers: {
        async find(query) {
          const found = page(await timed(() => answers.find(query)), query)
          const folders = found.folders?.filter(({ prefix }) => prefix.startsWith(query.prefix))
          return { ...found, folders }
        },
        async stats(query) {
          const found = await timed(() => answers.stats(query))
          if (query.groupBy !== 'folder') return found
          const groups = found.groups?.filter(({ value }) => value?.startsWith(query.prefix))
          return { ...found, groups }
        },
      },
    }),
    async get(bucket, key) {
      const record = await timed(() => index.get(bucket, key))
      return record ? requireRecord(record, bucket, key) : null
    },
    async put(record, change) {
      const stored = await timed(() => index.put(record, change))
      return stored ? requireRecord(stored, record.bucket, record.key) : null
    },
    remove: (...key) => timed(() => index.remove(...key)),
    ...(kept && { kept: timedKept(kept, timed) }),
    async getMany(bucket, keys) {
      const records = await timed(() => getMany(index, bucket, keys))
      return records.filter((record) => isRecord(record, bucket) && keys.includes(record.key))
    },
    list: async (input) => page(await timed(() => index.list(input)), input),
    requireIndexable: (...key) => index.requireIndexable?.(...key),
  }
}

/** Returns kept records with a limit for each operation, and only those that were asked for. */
const timedKept = (
  kept: KeptRecords,
  timed: <T>(operate: () => Promise<T>) => Promise<T>,
): KeptRecords => ({
  async get(bucket, key) {
    const found = await timed(() => kept.get(bucket, key))
    return found && { ...found, record: requireRecord(found.record, bucket, key) }
  },
  async getMany(bucket, keys) {
    const found = await timed(() => kept.getMany(bucket, keys))
    return found.filter(({ record }) => isRecord(record, bucket) && keys.includes(record.key))
  },
  async list(input) {
    const page = await timed(() => kept.list(input))
    const isAskedFor = ({ record }: KeptRecord) =>
      isRecord(record, input.bucket) && record.key.startsWith(input.prefix)
    return { cursor: page.cursor ?? undefined, records: page.records.filter(isAskedFor) }
  },
  put: (record) => timed(() => kept.put(record)),
  remove: (...key) => timed(() => kept.remove(...key)),
})

/** Returns the records of distinct keys that have one, in any order. */
export async function getMany(
  index: FileIndex,
  bucket: string,
  keys: readonly ObjectKey[],
): Promise<FileRecord[]> {
  if (keys.length === 0) return []
  if (index.getMany !== undefined) return index.getMany(bucket, keys)
  const found = await sixAtOnce(keys, (key) => index.get(bucket, key))
  return found.filter((record) => record !== null)
}

/** Returns `record`. Throws `unavailable` unless it is of this file. */
function requireRecord(record: FileRecord, bucket: string, key: ObjectKey): FileRecord {
  if (isRecord(record, bucket) && record.key === key) return record
  throw indexUnavailable(new Error('It returned something other than the record of this file.'))
}

/** The spelling of `toISOString`. In another one, or as a `Date`, every upload would look replaced. */
const DATE = /^.{10}T.{12}Z$/

/** Tells whether this is a record in this bucket. */
const isRecord = (record: FileRecord | null | undefined, bucket: string): boolean =>
  record?.bucket === bucket && typeof record.key === 'string' && DATE.test(record.createdAt)

/** Returns the error for an operation that failed. */
export const indexUnavailable = (cause: unknown, retryAfterSeconds = 5): ApiError =>
  new ApiError('unavailable', 'The index did not respond. Try again.', {
    reason: 'index',
    cause,
    retryAfterSeconds,
  })

/** The index of a presigner without an index. It finds nothing, and can't list files. */
export const noFileIndex: FileIndex = {
  get: async () => null,
  put: async (record) => record,
  remove: async () => true,
  async list() {
    throw new ApiError('not_supported', 'No file index is configured, so nothing can be listed.')
  },
}
