import { byUtf8 } from '../../keys/encodings.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'

/** Returns an index in the memory of one process, for tests. */
export function memoryFileIndex(): FileIndex {
  const records = new Map<string, FileRecord>()
  const nameOf = (bucket: string, key: string): string => `${bucket}:${key}`
  return {
    get: async (bucket, key) => records.get(nameOf(bucket, key)) ?? null,
    async put(record) {
      records.set(nameOf(record.bucket, record.key), record)
      return record
    },
    async remove(bucket, key) {
      records.delete(nameOf(bucket, key))
    },
    async list({ bucket, prefix, limit, cursor = '' }) {
      const start = nameOf(bucket, prefix)
      const names = [...records.keys()].filter(
        (name) => name.startsWith(start) && byUtf8(name, cursor) > 0,
      )
      const page = names.sort(byUtf8).slice(0, limit)
      const found = page.flatMap((name) => records.get(name) ?? [])
      return {
        records: found,
        cursor: names.length > limit ? page.at(-1) : undefined,
        unreadable: 0,
      }
    },
    async strayEntries(known) {
      const aliases = new Map<string, number>()
      for (const { bucket } of records.values())
        if (!known.includes(bucket)) aliases.set(bucket, (aliases.get(bucket) ?? 0) + 1)
      return { aliases: Object.fromEntries(aliases), unreadable: 0, cursor: undefined }
    },
  }
}
