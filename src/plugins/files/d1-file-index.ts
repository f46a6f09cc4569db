import { ApiError } from '../../errors/api-error.ts'
import { type FileIndex, indexUnavailable } from '../../records/file-index.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import {
  COLUMNS,
  type Database,
  type FileRow,
  fromRow,
  GREATEST,
  openDatabase,
  rowValues,
} from './d1-schema.ts'
import { d1Answers } from './d1-totals.ts'

/** What a record consists of, apart from its key. */
const OWN = ['name', 'size', 'mimetype', 'etag', 'owner', 'created_at', 'status'] as const

const RECORD = `bucket, key, ${OWN.join(', ')}`
const SELECT = `SELECT ${RECORD} FROM presigner_files WHERE bucket = ? AND key = ?`

const NAMES = COLUMNS.split(', ')

/** Stores a record, but keeps that of a later object, and of another object of the same date. */
const PUT_FIRST = `INSERT INTO presigner_files AS old (${COLUMNS}) VALUES (${NAMES.map(() => '?').join()})
ON CONFLICT (bucket, key) DO UPDATE SET ${NAMES.slice(2)
  .map((name) => `${name} = excluded.${name}`)
  .join()}
WHERE old.created_at < excluded.created_at
OR (old.created_at = excluded.created_at AND old.etag = excluded.etag AND excluded.status IS NULL`

/** Of the same object, keeps a confirmed record, and any record if the new one has a status. */
const PUT = `${PUT_FIRST} AND (old.owner IS NULL OR (old.status IS NOT NULL AND excluded.owner IS NOT NULL)))`

/** Of the same object, keeps the record unless only the new one is confirmed. */
const COPY = `${PUT_FIRST} AND (old.owner IS NULL OR old.status IS NOT NULL) AND excluded.owner IS NOT NULL)`

/** Exactly this row. */
const EXACTLY = OWN.map((name) => `old.${name} IS ?`).join(' AND ')

/** What `EXACTLY` binds. */
const valuesOf = (row: FileRow): readonly unknown[] => OWN.map((name) => row[name])

/** Returns the index in D1 (docs/d1-schema.md). Throws `misconfigured`. */
export function d1FileIndex(db: D1Database): FileIndex {
  if (typeof db?.batch !== 'function')
    throw new ApiError(
      'misconfigured',
      'needs a D1 database. Add a [[d1_databases]] block to wrangler.toml, and pass its binding.',
    )
  return indexIn(db, openDatabase(db))
}

function unreadable(): never {
  throw indexUnavailable(
    new Error('The row of this file is malformed, and something writes it again.'),
  )
}

/** Returns the index in the tables of a database. */
export function indexIn(db: D1Database, database: Database): FileIndex {
  const { run } = database
  const select = (bucket: string, key: string) => db.prepare(SELECT).bind(bucket, key)
  /** What `get` has just seen, so that to delete a file without a row costs no second query. */
  const malformed = new Set<string>()
  const nameOf = (bucket: string, key: string) => `${bucket}/${key}`
  return {
    isConditional: true,
    answers: d1Answers(database, db),

    async get(bucket, key) {
      const row = (await run([select(bucket, key)]))[0]?.results[0]
      const record = row === undefined ? null : fromRow(row)
      if (record === null && row !== undefined) malformed.add(nameOf(bucket, key))
      return record
    },

    async getMany(bucket, keys) {
      const sql = `SELECT ${RECORD} FROM presigner_files WHERE bucket = ? AND key IN (SELECT value FROM json_each(?))`
      const [result] = await run([db.prepare(sql).bind(bucket, JSON.stringify(keys))])
      return (result?.results ?? []).flatMap((row) => fromRow(row) ?? [])
    },

    async put(record, replaces) {
      const values = rowValues(record)
      const putOver = async (own?: readonly unknown[] | null): Promise<FileRow | undefined> => {
        const put =
          own == null
            ? db.prepare(own === null ? COPY : PUT).bind(...values)
            : db.prepare(`${PUT} OR (${EXACTLY})`).bind(...values, ...own)
        const results = await run([put, select(record.bucket, record.key)])
        return results[1]?.results[0]
      }
      const row = (await putOver(replaces && rowValues(replaces).slice(2, 9))) ?? {}
      const stored = fromRow(row)
      if (stored !== null) return stored
      // A malformed row counts as missing, but has the place of this one.
      const mended = await putOver(valuesOf(row))
      return fromRow(mended ?? {}) ?? unreadable()
    },

    async remove(bucket, key, of) {
      const sql = 'DELETE FROM presigner_files WHERE bucket = ? AND key = ?'
      await run([
        of === undefined
          ? db.prepare(sql).bind(bucket, key)
          : db
              .prepare(
                `${sql} AND (created_at < ? OR (created_at = ? AND etag = ? AND (status IS NOT NULL OR coalesce(owner = ?, true))))`,
              )
              .bind(bucket, key, of.createdAt, of.createdAt, of.etag, provenOwner(of)),
      ])
    },

    async removeMalformed(bucket, key) {
      if (!malformed.delete(nameOf(bucket, key))) return
      const row = (await run([select(bucket, key)]))[0]?.results[0]
      if (row === undefined || fromRow(row) !== null) return
      const sql = `DELETE FROM presigner_files AS old WHERE bucket = ? AND key = ? AND ${EXACTLY}`
      await run([db.prepare(sql).bind(bucket, key, ...valuesOf(row))])
    },

    async list({ bucket, prefix, limit, cursor }) {
      // One lower bound: of two, SQLite takes the first, and reads all earlier pages again.
      const from = cursor === undefined ? 'key >= ?' : 'key > ?'
      const sql = `SELECT ${RECORD} FROM presigner_files WHERE bucket = ? AND ${from} AND key < ? ORDER BY key LIMIT ?`
      const [result] = await run([
        db.prepare(sql).bind(bucket, cursor ?? prefix, prefix + GREATEST, limit + 1),
      ])
      const rows = result?.results ?? []
      const page = rows.slice(0, limit)
      const records = page.flatMap((row) => fromRow(row) ?? [])
      return {
        records,
        cursor: rows.length > limit ? String(page.at(-1)?.key) : undefined,
        unreadable: page.length - records.length,
      }
    },

    async since(now) {
      const select = db.prepare('SELECT date FROM presigner_since')
      const insert = db.prepare('INSERT OR IGNORE INTO presigner_since VALUES (1, ?)')
      const results = await run(now === null ? [select] : [insert.bind(now.toISOString()), select])
      const stored = new Date(String(results.at(-1)?.results[0]?.date))
      return Number.isNaN(stored.getTime()) ? null : stored
    },

    async strayEntries(known) {
      const results = await run([db.prepare(STRAY).bind(JSON.stringify(known))])
      const rows = results[0]?.results ?? []
      return {
        aliases: Object.fromEntries(rows.map(({ bucket, count }) => [bucket, Number(count)])),
        // Lists of the buckets have these.
        unreadable: 0,
        cursor: undefined,
      }
    },
  }
}

/** The owner of a record with a status is a guess. */
const provenOwner = (record: FileRecord): string | null =>
  isConfirmed(record) ? record.owner : null

/** Goes from one bucket to the next, and counts only the rows of those that are not known. */
const STRAY = `WITH RECURSIVE one(bucket) AS (SELECT min(bucket) FROM presigner_files UNION ALL
SELECT (SELECT min(f.bucket) FROM presigner_files AS f WHERE f.bucket > one.bucket) FROM one WHERE one.bucket IS NOT NULL)
SELECT bucket, (SELECT count(*) FROM presigner_files AS f WHERE f.bucket = one.bucket) AS count
FROM one WHERE bucket IS NOT NULL AND bucket NOT IN (SELECT value FROM json_each(?))`
