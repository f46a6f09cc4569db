import { type Database, fromRow, rowValues } from '../../../src/plugins/files/d1-schema.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'

const OWN = ['name', 'size', 'mimetype', 'etag', 'owner', 'created_at']
const COLUMNS = ['bucket', 'key', ...OWN, 'folded', 'tokens', 'folders']
const SELECT = `SELECT bucket, key, ${OWN} FROM presigner_files WHERE bucket = ? AND key = ?`
const PUT = `INSERT INTO presigner_files AS old (${COLUMNS}) VALUES (${COLUMNS.map(() => '?')})
ON CONFLICT (bucket, key) DO UPDATE SET ${COLUMNS.slice(2).map((name) => `${name} = excluded.${name}`)}
WHERE old.created_at < excluded.created_at
OR (old.created_at = excluded.created_at AND old.etag = excluded.etag AND old.owner IS NULL)`
const OR_EXACTLY = ` OR (${OWN.map((name) => `old.${name} IS ?`).join(' AND ')})`

/** Returns the values of the columns before `status`. */
const oldValues = ({ status: _, ...record }: FileRecord) =>
  rowValues(record).filter((_, i) => i !== 8)

/** What a Worker writes and reads that knows no `status`: the steps before the fourth. */
export function olderIndex(
  db: D1Database,
  { run }: Database,
): Pick<FileIndex, 'get' | 'put' | 'remove'> {
  const read = (row: Readonly<Record<string, unknown>> | undefined) =>
    row === undefined ? null : fromRow({ ...row, status: null })
  return {
    async get(bucket, key) {
      const [result] = await run([db.prepare(SELECT).bind(bucket, key)])
      return read(result?.results[0])
    },
    async put(record, replaces) {
      const own = replaces ? oldValues(replaces).slice(2, 8) : []
      const [, result] = await run([
        db.prepare(PUT + (replaces ? OR_EXACTLY : '')).bind(...oldValues(record), ...own),
        db.prepare(SELECT).bind(record.bucket, record.key),
      ])
      return read(result?.results[0]) ?? record
    },
    async remove(bucket, key) {
      const sql = 'DELETE FROM presigner_files WHERE bucket = ? AND key = ?'
      await run([db.prepare(sql).bind(bucket, key)])
    },
  }
}
