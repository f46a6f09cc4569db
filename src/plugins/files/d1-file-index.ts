import { ApiError } from '../../errors/api-error.ts'
import {
  type FileIndex,
  type IndexChange,
  indexUnavailable,
  type KeptRecord,
  type KeptRecords,
  type ListInput,
} from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import type { SqlDatabase, SqlStatement } from '../../records/sql.ts'
import { d1ForgetLocks, d1Lock } from './d1-lock.ts'
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

const marks = (count: number): string => Array.from({ length: count }, () => '?').join()

const ROW = 'FROM presigner_files AS old WHERE old.bucket = ? AND old.key = ?'
/** Condition: the row has exactly the bound values. */
const EXACTLY = OWN.map((name) => `old.${name} IS ?`).join(' AND ')

/** What has to be true of the row of a key, and what that binds. */
interface Condition {
  readonly sql: string
  readonly values: readonly unknown[]
  /** Whether there must be no row. */
  readonly isNone?: boolean
}

/** Returns the condition that the index still has what a writer has seen. */
const still = (
  bucket: string,
  key: string,
  over: FileRow | FileRecord | null | undefined,
): Condition => {
  if (over === undefined) return { sql: 'true', values: [] }
  if (over === null)
    return { sql: `NOT EXISTS (SELECT 1 ${ROW})`, values: [bucket, key], isNone: true }
  const row: FileRow = 'createdAt' in over ? { ...over, created_at: over.createdAt } : { ...over }
  const own = OWN.map((name) => row[name] ?? null)
  return { sql: `EXISTS (SELECT 1 ${ROW} AND ${EXACTLY})`, values: [bucket, key, ...own] }
}

const NAMES = COLUMNS.split(', ')
const PUT = (condition: string): string =>
  `INSERT INTO presigner_files (${COLUMNS}) SELECT ${marks(NAMES.length)} WHERE ${condition}
ON CONFLICT (bucket, key) DO UPDATE SET ${NAMES.slice(2)
    .map((name) => `${name} = excluded.${name}`)
    .join()} RETURNING ${RECORD}`

const KEPT = `${RECORD}, kept_at, expires_at`

/** Returns the index in D1 (docs/maintainers/stored-data.md). Throws `misconfigured`. */
export function d1FileIndex(db: SqlDatabase): FileIndex {
  if (typeof db?.batch !== 'function')
    throw new ApiError(
      'misconfigured',
      'needs a D1 database. Add a [[d1_databases]] block to wrangler.toml, and pass its binding.',
      { reason: 'settings' },
    )
  return indexIn(db, openDatabase(db))
}

function unreadable(): never {
  throw indexUnavailable(
    new Error('The row of this file is malformed, and something writes it again.'),
  )
}

/** Returns the index in the tables of a database. */
function indexIn(db: SqlDatabase, database: Database): FileIndex {
  const { run } = database
  const read = async (bucket: string, key: string): Promise<FileRow | undefined> =>
    (await run([db.prepare(SELECT).bind(bucket, key)]))[0]?.results[0]

  /**
   * Runs the statement that `write` returns for a condition, and what is kept in the same batch. Resolves
   * with the row that the statement returns: undefined if the index has another record than `over`.
   */
  const writeOver = async (
    bucket: string,
    key: string,
    { over, kept }: IndexChange,
    write: (condition: Condition) => SqlStatement,
  ): Promise<FileRow | undefined> => {
    const attempt = async (of: FileRow | FileRecord | null | undefined) => {
      const condition = still(bucket, key, of)
      const keeping = kept === undefined ? [] : keepStatements(db, bucket, key, kept, condition)
      return (await run([...keeping, write(condition)])).at(-1)?.results[0]
    }
    const row = await attempt(over)
    // A malformed row counts as missing. Its place is taken.
    const malformed = over === null && row === undefined ? await read(bucket, key) : undefined
    return malformed === undefined || fromRow(malformed) !== null ? row : attempt(malformed)
  }

  return {
    answers: d1Answers(database, db),
    kept: keptIn(db, database),
    lock: d1Lock(database, db),
    forgetLocks: d1ForgetLocks(database, db),

    async sql(statements) {
      const prepared = statements.map(({ text, values }) => db.prepare(text).bind(...values))
      return (await run(prepared)).map(({ results }) => results ?? [])
    },

    async get(bucket, key) {
      const row = await read(bucket, key)
      return row === undefined ? null : fromRow(row)
    },

    async getMany(bucket, keys) {
      const sql = `SELECT ${RECORD} FROM presigner_files WHERE bucket = ? AND key IN (SELECT value FROM json_each(?))`
      const [result] = await run([db.prepare(sql).bind(bucket, JSON.stringify(keys))])
      return (result?.results ?? []).flatMap((row) => fromRow(row) ?? [])
    },

    async put(record, change = {}) {
      const { bucket, key } = record
      const row = await writeOver(bucket, key, change, ({ sql, values }) =>
        db.prepare(PUT(sql)).bind(...rowValues(record), ...values),
      )
      return row === undefined ? null : (fromRow(row) ?? unreadable())
    },

    async remove(bucket, key, change = {}) {
      const remove = `DELETE FROM presigner_files WHERE bucket = ? AND key = ?`
      const row = await writeOver(bucket, key, change, ({ sql, values, isNone }) =>
        isNone
          ? db.prepare(`SELECT 1 WHERE ${sql}`).bind(...values)
          : db.prepare(`${remove} AND ${sql} RETURNING 1`).bind(bucket, key, ...values),
      )
      return row !== undefined || change.over === undefined
    },

    async list(input) {
      const { rows, cursor } = await pageOf(
        db,
        database,
        `SELECT ${RECORD} FROM presigner_files`,
        input,
      )
      const records = rows.flatMap((row) => fromRow(row) ?? [])
      return { records, cursor, unreadable: rows.length - records.length }
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

/** Returns one page of rows in the order of their keys. */
async function pageOf(
  db: SqlDatabase,
  { run }: Database,
  select: string,
  { bucket, prefix, limit, cursor }: ListInput,
) {
  // One lower bound: of two, SQLite takes the first, and reads all earlier pages again.
  const from = cursor === undefined ? 'key >= ?' : 'key > ?'
  const sql = `${select} WHERE bucket = ? AND ${from} AND key < ? ORDER BY key LIMIT ?`
  const [result] = await run([
    db.prepare(sql).bind(bucket, cursor ?? prefix, prefix + GREATEST, limit + 1),
  ])
  const found = result?.results ?? []
  const rows = found.slice(0, limit)
  return { rows, cursor: found.length > limit ? String(rows.at(-1)?.key) : undefined }
}

/** Returns the kept records in the tables of a database. */
const keptIn = (db: SqlDatabase, database: Database): KeptRecords => ({
  async get(bucket, key) {
    const sql = `SELECT ${KEPT} FROM presigner_kept WHERE bucket = ? AND key = ?`
    const [result] = await database.run([db.prepare(sql).bind(bucket, key)])
    return fromKeptRow(result?.results[0])
  },
  async getMany(bucket, keys) {
    const sql = `SELECT ${KEPT} FROM presigner_kept WHERE bucket = ? AND key IN (SELECT value FROM json_each(?))`
    const [result] = await database.run([db.prepare(sql).bind(bucket, JSON.stringify(keys))])
    return (result?.results ?? []).flatMap((row) => fromKeptRow(row) ?? [])
  },
  async list(input) {
    const { rows, cursor } = await pageOf(db, database, `SELECT ${KEPT} FROM presigner_kept`, input)
    return { records: rows.flatMap((row) => fromKeptRow(row) ?? []), cursor }
  },
  async put(kept) {
    const { bucket, key } = kept.record
    await database.run(keepStatements(db, bucket, key, kept, still(bucket, key, undefined)))
  },
  async remove(bucket, key) {
    await database.run(keepStatements(db, bucket, key, null, still(bucket, key, undefined)))
  },
})

function fromKeptRow(row: FileRow | undefined): KeptRecord | null {
  if (row === undefined) return null
  const { kept_at: keptAt, expires_at: expiresAt, ...own } = row
  const record = fromRow(own)
  if (record === null) return null
  return {
    record,
    keptAt: String(keptAt),
    expiresAt: expiresAt === null ? null : String(expiresAt),
  }
}

/** Returns what keeps a record, and removes all that have expired, or what forgets one. */
function keepStatements(
  db: SqlDatabase,
  bucket: string,
  key: string,
  kept: KeptRecord | null,
  { sql, values }: Condition,
): SqlStatement[] {
  if (kept === null) {
    const forget = `DELETE FROM presigner_kept WHERE bucket = ? AND key = ? AND ${sql}`
    return [db.prepare(forget).bind(bucket, key, ...values)]
  }
  const { record, keptAt, expiresAt } = kept
  const columns = KEPT.split(', ')
  const keep = `INSERT OR REPLACE INTO presigner_kept (${KEPT}) SELECT ${marks(columns.length)} WHERE ${sql}`
  const row = rowValues(record).slice(0, OWN.length + 2)
  return [
    db.prepare(keep).bind(...row, keptAt, expiresAt, ...values),
    db.prepare('DELETE FROM presigner_kept WHERE expires_at <= ?').bind(keptAt),
  ]
}

/** Goes from one bucket to the next, and counts only the rows of those that are not known. */
const STRAY = `WITH RECURSIVE one(bucket) AS (SELECT min(bucket) FROM presigner_files UNION ALL
SELECT (SELECT min(f.bucket) FROM presigner_files AS f WHERE f.bucket > one.bucket) FROM one WHERE one.bucket IS NOT NULL)
SELECT bucket, (SELECT count(*) FROM presigner_files AS f WHERE f.bucket = one.bucket) AS count
FROM one WHERE bucket IS NOT NULL AND bucket NOT IN (SELECT value FROM json_each(?))`
