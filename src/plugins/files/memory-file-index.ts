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
        (name) => name.startsWith(start) && byCodePoint(name, cursor) > 0,
      )
      const page = names.sort(byCodePoint).slice(0, limit)
      const found = page.flatMap((name) => records.get(name) ?? [])
      return {
        records: found,
        cursor: names.length > limit ? page.at(-1) : undefined,
        unreadable: 0,
      }
    },
  }
}

/** Compares by UTF-8, the order in which Workers KV lists. */
function byCodePoint(one: string, other: string): number {
  const [a, b] = [[...one], [...other]]
  for (const [i, character] of a.entries()) {
    const difference = (character.codePointAt(0) ?? 0) - (b[i]?.codePointAt(0) ?? -1)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
