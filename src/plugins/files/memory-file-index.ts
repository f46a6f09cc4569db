import { byUtf8 } from '../../keys/encodings.ts'
import type { FileIndex, KeptRecord, ListInput } from '../../records/file-index.ts'
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
      list: async (input) => pageOf(kept, input),
      put: async (record) => keep(nameOf(record.record.bucket, record.record.key), record),
      remove: async (bucket, key) => keep(nameOf(bucket, key), null),
    },
    list: async (input) => ({ ...pageOf(records, input), unreadable: 0 }),
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
