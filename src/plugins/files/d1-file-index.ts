import { ApiError } from '../../errors/api-error.ts'
import { type FileIndex, indexUnavailable } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
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
const OWN = ['name', 'size', 'mimetype', 'etag', 'owner', 'created_at'] as const

const SELECT = `SELECT bucket, key, ${OWN.join(', ')} FROM presigner_files WHERE bucket = ? AND key = ?`

const NAMES = COLUMNS.split(', ')

/** Keeps the record of a later object, and of another one of the same date. */
const PUT_FIRST = `INSERT INTO presigner_files AS old (${COLUMNS}) VALUES (${NAMES.map(() => '?').join()})
ON CONFLICT (bucket, key) DO UPDATE SET ${NAMES.slice(2)
  .map((name) => `${name} = excluded.${name}`)
  .join()}
WHERE old.created_at < excluded.created_at
OR (old.created_at = excluded.created_at AND old.etag = excluded.etag`

/** Keeps also the record of the same object with an owner. */
const PUT = `${PUT_FIRST} AND old.owner IS NULL)`

/** Keeps also the record of the same object, but not one without an owner. */
const COPY = `${PUT_FIRST} AND old.owner IS NULL AND excluded.owner IS NOT NULL)`

/** Replaces exactly this row. */
const OR_EXACTLY = ` OR (${OWN.map((name) => `old.${name} IS ?`).join(' AND ')})`

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
  const readOne = (result: D1Result<FileRow> | undefined): FileRecord | null => {
    const row = result?.results[0]
    return row === undefined ? null : fromRow(row)
  }
  return {
    isConditional: true,
    answers: d1Answers(database, db),

    get: async (bucket, key) => readOne((await run([select(bucket, key)]))[0]),

    async getMany(bucket, keys) {
      const sql = `SELECT bucket, key, ${OWN.join(', ')} FROM presigner_files WHERE bucket = ? AND key IN (SELECT value FROM json_each(?))`
      const [result] = await run([db.prepare(sql).bind(bucket, JSON.stringify(keys))])
      return (result?.results ?? []).flatMap((row) => fromRow(row) ?? [])
    },

    async put(record, replaces) {
      const values = rowValues(record)
      const putOver = async (own?: readonly unknown[] | null): Promise<FileRow | undefined> => {
        const put =
          own == null
            ? db.prepare(own === null ? COPY : PUT).bind(...values)
            : db.prepare(PUT + OR_EXACTLY).bind(...values, ...own)
        const results = await run([put, select(record.bucket, record.key)])
        return results[1]?.results[0]
      }
      const row = (await putOver(replaces && rowValues(replaces).slice(2, 8))) ?? {}
      const stored = fromRow(row)
      if (stored !== null) return stored
      // A malformed row counts as missing, but has the place of this one.
      const mended = await putOver(OWN.map((name) => row[name]))
      return fromRow(mended ?? {}) ?? unreadable()
    },

    async remove(bucket, key, of) {
      const sql = 'DELETE FROM presigner_files WHERE bucket = ? AND key = ?'
      await run([
        of === undefined
          ? db.prepare(sql).bind(bucket, key)
          : db
              .prepare(
                `${sql} AND (created_at < ? OR (created_at = ? AND etag = ? AND coalesce(owner = ?, true)))`,
              )
              .bind(bucket, key, of.createdAt, of.createdAt, of.etag, of.owner),
      ])
    },

    async list({ bucket, prefix, limit, cursor }) {
      // One lower bound: of two, SQLite takes the first, and reads all earlier pages again.
      const from = cursor === undefined ? 'key >= ?' : 'key > ?'
      const sql = `SELECT bucket, key, ${OWN.join(', ')} FROM presigner_files WHERE bucket = ? AND ${from} AND key < ? ORDER BY key LIMIT ?`
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
  }
}
