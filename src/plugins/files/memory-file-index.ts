import { byUtf8 } from '../../keys/encodings.ts'
import {
  type FileIndex,
  JOURNAL_SECONDS,
  type KeptRecord,
  type ListInput,
} from '../../records/file-index.ts'
import { type FileRecord, isSameEntry } from '../../records/file-record.ts'

const nameOf = (bucket: string, key: string): string => `${bucket}:${key}`

/** Returns an index in the memory of one process, for tests. */
export function memoryFileIndex(): FileIndex {
  const records = new Map<string, FileRecord>()
  const kept = new Map<string, KeptRecord>()
  const isStill = (name: string, over: FileRecord | null | undefined): boolean =>
    over === undefined || isSameEntry(records.get(name) ?? null, over)
  const keep = (name: string, record: KeptRecord | null | undefined): void => {
    if (record) kept.set(name, record)
    else if (record === null) kept.delete(name)
  }
  /** Until when a request holds a key, in milliseconds since 1970. */
  const locks = new Map<string, { holder: object; until: number; journal: string | null }>()
  return {
    get: async (bucket, key) => records.get(nameOf(bucket, key)) ?? null,
    async put(record, change = {}) {
      const name = nameOf(record.bucket, record.key)
      if (!isStill(name, change.over)) return null
      records.set(name, record)
      keep(name, change.kept)
      return record
    },
    async remove(bucket, key, change = {}) {
      const name = nameOf(bucket, key)
      if (!isStill(name, change.over)) return false
      records.delete(name)
      keep(name, change.kept)
      return true
    },
    kept: {
      get: async (bucket, key) => kept.get(nameOf(bucket, key)) ?? null,
      getMany: async (bucket, keys) => keys.flatMap((key) => kept.get(nameOf(bucket, key)) ?? []),
      list: async (input) => pageOf(kept, input),
      put: async (record) => keep(nameOf(record.record.bucket, record.record.key), record),
      remove: async (bucket, key) => keep(nameOf(bucket, key), null),
    },
    list: async (input) => ({ ...pageOf(records, input), unreadable: 0 }),
    async lock(bucket, keys, seconds) {
      const now = Date.now()
      for (const [name, { until }] of locks)
        if (until < now - JOURNAL_SECONDS * 1000) locks.delete(name)
      const holder = {}
      const held = new Map<string, string | null>()
      let busyUntil = now
      for (const key of keys) {
        const name = nameOf(bucket, key)
        const { until = 0, journal = null } = locks.get(name) ?? {}
        if (until > now) {
          busyUntil = Math.max(busyUntil, until)
          continue
        }
        locks.set(name, { holder, until: now + seconds * 1000, journal })
        held.set(key, journal)
      }
      const own = (key: string) => {
        const lock = locks.get(nameOf(bucket, key))
        return lock?.holder === holder ? lock : undefined
      }
      return {
        held,
        busySeconds: Math.ceil((busyUntil - now) / 1000),
        async note(key, journal) {
          const lock = own(key)
          if (lock !== undefined) lock.journal = journal
          return lock !== undefined
        },
        async release(released) {
          for (const lock of released.map(own)) if (lock !== undefined) lock.until = Date.now()
        },
      }
    },
    async forgetLocks(bucket, prefix, before) {
      const end = Math.min(before.getTime(), Date.now())
      for (const [name, { until }] of locks)
        if (name.startsWith(nameOf(bucket, prefix)) && until < end) locks.delete(name)
    },
    async strayEntries(known) {
      const aliases = new Map<string, number>()
      for (const { bucket } of records.values())
        if (!known.includes(bucket)) aliases.set(bucket, (aliases.get(bucket) ?? 0) + 1)
      return { aliases: Object.fromEntries(aliases), unreadable: 0, cursor: undefined }
    },
  }
}

/** Returns one page of the entries of a bucket, by their names. */
function pageOf<Entry>(
  entries: ReadonlyMap<string, Entry>,
  { bucket, prefix, limit, cursor = '' }: ListInput,
) {
  const start = nameOf(bucket, prefix)
  const names = [...entries.keys()].filter(
    (name) => name.startsWith(start) && byUtf8(name, cursor) > 0,
  )
  const page = names.sort(byUtf8).slice(0, limit)
  return {
    records: page.flatMap((name) => entries.get(name) ?? []),
    cursor: names.length > limit ? page.at(-1) : undefined,
  }
}
