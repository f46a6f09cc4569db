import { ApiError } from '../../errors/api-error.ts'
import { objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import { indexUnavailable } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import type { SqlDatabase, SqlResult, SqlStatement } from '../../records/sql.ts'
import { toRecord } from './kv-metadata.ts'
import { foldName } from './search-text.ts'

/** Folders above a key that are words of its row, the bucket included. */
const MAX_TOKENS = 33
/** Folders above a key that have totals, the bucket included. */
export const MAX_COUNTED_FOLDERS = 8

/** Columns of a record, in the order of `rowValues`. */
export const COLUMNS =
  'bucket, key, name, size, mimetype, etag, owner, created_at, status, folded, tokens, folders'

const changed = (...columns: string[]) =>
  columns.map((column) => `OLD.${column} IS NOT NEW.${column}`).join(' OR ')

const addWords =
  'INSERT INTO presigner_words (rowid, folded, tokens) VALUES (NEW.id, NEW.folded, NEW.tokens);'
const removeWords = `INSERT INTO presigner_words (presigner_words, rowid, folded, tokens) VALUES ('delete', OLD.id, OLD.folded, OLD.tokens);`

/** Adds a row to the totals, or subtracts it. */
function count(row: 'NEW' | 'OLD'): string[] {
  const from = `FROM json_each(${row}.folders) AS f`
  const folder = `substr(${row}.key, 1, f.value)`
  // Not CASE: D1's own parser may take its END for that of the trigger (workers-sdk#4727).
  const parent = `iif(f.key = 0, '-', substr(${row}.key, 1, json_extract(${row}.folders, '$[' || (f.key - 1) || ']')))`
  const sign = row === 'NEW' ? '' : '-'
  const sums = `${sign}1, ${sign}${row}.size`
  const add =
    'WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count, bytes = bytes + excluded.bytes;'
  const total = (kind: string, value: string) =>
    `INSERT INTO presigner_totals SELECT ${row}.bucket, ${folder}, '${kind}', ${value}, ${sums} ${from} ${add}`
  return [
    `INSERT INTO presigner_folders SELECT ${row}.bucket, ${parent}, ${folder}, ${sums} ${from} ${add}`,
    total('type', `${row}.mimetype`),
    total('owner', `coalesce('=' || ${row}.owner, '')`),
    total('day', `substr(${row}.created_at, 1, 10)`),
  ]
}

/** `event` is followed by `WHEN` and a condition, where there is one. */
const trigger = (name: string, event: string, ...statements: readonly string[]) =>
  `CREATE TRIGGER presigner_${name} AFTER ${event} BEGIN ${statements.join(' ')} END`

const SCHEMA = [
  'CREATE TABLE presigner_files (id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mimetype TEXT NOT NULL, etag TEXT NOT NULL, owner TEXT, created_at TEXT NOT NULL, status TEXT, folded TEXT NOT NULL, tokens TEXT NOT NULL, folders TEXT NOT NULL, UNIQUE (bucket, key))',
  ...['created_at', 'folded', 'size', 'owner'].map(
    (column) =>
      `CREATE INDEX presigner_files_${column} ON presigner_files (bucket, ${column}, key)`,
  ),
  `CREATE VIRTUAL TABLE presigner_words USING fts5(folded, tokens, content='presigner_files', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='1 2 3')`,
  'CREATE TABLE presigner_folders (bucket TEXT NOT NULL, parent TEXT NOT NULL, folder TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (bucket, parent, folder)) WITHOUT ROWID',
  'CREATE TABLE presigner_totals (bucket TEXT NOT NULL, folder TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (bucket, folder, kind, value)) WITHOUT ROWID',
  'CREATE TABLE presigner_kept (bucket TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mimetype TEXT NOT NULL, etag TEXT NOT NULL, owner TEXT, created_at TEXT NOT NULL, status TEXT, kept_at TEXT NOT NULL, expires_at TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID',
  'CREATE INDEX presigner_kept_expires_at ON presigner_kept (expires_at)',
  // Keys that are being copied or moved.
  'CREATE TABLE presigner_locks (bucket TEXT NOT NULL, key TEXT NOT NULL, holder TEXT NOT NULL, until INTEGER NOT NULL, journal TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID',
  'CREATE INDEX presigner_locks_until ON presigner_locks (until)',
  trigger('files_insert', 'INSERT ON presigner_files', addWords, ...count('NEW')),
  trigger(
    'words_update',
    `UPDATE ON presigner_files WHEN ${changed('folded', 'tokens')}`,
    removeWords,
    addWords,
  ),
  trigger(
    'totals_update',
    `UPDATE ON presigner_files WHEN ${changed('size', 'mimetype', 'owner', 'created_at', 'folders')}`,
    ...count('NEW'),
    ...count('OLD'),
  ),
  trigger('files_delete', 'DELETE ON presigner_files', removeWords, ...count('OLD')),
  trigger(
    'folders_empty',
    'UPDATE ON presigner_folders WHEN NEW.count = 0',
    'DELETE FROM presigner_folders WHERE bucket = NEW.bucket AND parent = NEW.parent AND folder = NEW.folder;',
  ),
  trigger(
    'totals_empty',
    'UPDATE ON presigner_totals WHEN NEW.count = 0',
    'DELETE FROM presigner_totals WHERE bucket = NEW.bucket AND folder = NEW.folder AND kind = NEW.kind AND value = NEW.value;',
  ),
]

/**
 * What each version of the schema adds (docs/maintainers/stored-data.md). A step that was released never changes, and a
 * later one only adds, since an older Worker keeps writing its columns.
 */
export const STEPS: readonly (readonly string[])[] = [SCHEMA]

/** A database whose tables are there when they are needed. */
export interface Database {
  /**
   * Runs statements in one batch, which D1 runs as a transaction on the primary, so that it sees every
   * earlier write. Throws `unavailable`, and `misconfigured` if the tables are somebody else's.
   */
  run(statements: readonly SqlStatement[]): Promise<readonly SqlResult<FileRow>[]>
}

/** Returns a database that creates and migrates its tables. `steps` is for tests. */
export function openDatabase(db: SqlDatabase, steps = STEPS): Database {
  /** Whether all tables are there. Then the version needs no check. */
  let isComplete = false

  /** Returns the last step that the database has, and what `statements` return. */
  const withVersion = async (statements: readonly SqlStatement[]) => {
    const [version, ...results] = await db.batch<FileRow>([db.prepare(VERSION), ...statements])
    return { version: Number(version?.results[0]?.step), results }
  }

  const migrate = async (version: number): Promise<void> => {
    for (const [i, statements] of steps.entries()) {
      if (i < version) continue
      // If another isolate was faster, the INSERT fails, and nothing of the batch happens.
      const insert = `INSERT INTO presigner_schema VALUES (${i + 1})`
      const batch = [...(i === 0 ? [CREATE_SCHEMA] : []), insert, ...statements]
      await db.batch(batch.map((sql) => db.prepare(sql))).catch((error: unknown) => {
        if (!/UNIQUE constraint failed: presigner_schema/.test(String(error))) throw error
      })
    }
    isComplete = true
  }

  const attempt = async (
    statements: readonly SqlStatement[],
  ): Promise<readonly SqlResult<FileRow>[]> => {
    if (isComplete) return db.batch<FileRow>([...statements])
    const { version, results } = await withVersion(statements)
    await migrate(version)
    return results
  }

  return {
    async run(statements) {
      try {
        return await attempt(statements).catch(async (error: unknown) => {
          if (!/no such (table|column)|no column named/.test(String(error))) throw error
          const version = await withVersion([]).catch((cause: unknown) => {
            if (!/no such table/.test(String(cause))) throw cause
            return { version: 0 }
          })
          await migrate(version.version)
          return attempt(statements)
        })
      } catch (error) {
        throw asApi(error)
      }
    },
  }
}

const CREATE_SCHEMA = 'CREATE TABLE IF NOT EXISTS presigner_schema (step INTEGER PRIMARY KEY)'
const VERSION = 'SELECT coalesce(max(step), 0) AS step FROM presigner_schema'

/** Returns the error of the API for an error of D1. */
function asApi(cause: unknown): ApiError {
  if (!/already exists|no such column|has no column|has \d+ columns/.test(String(cause)))
    return indexUnavailable(cause)
  return new ApiError(
    'misconfigured',
    'The D1 database has tables of the same names (presigner_…) that are not of this version or not the index. Use a database of its own.',
    { reason: 'settings', cause },
  )
}

/** Returns what a statement binds for `COLUMNS`. */
export const rowValues = (record: FileRecord): readonly (string | number | null)[] => [
  record.bucket,
  record.key,
  record.name,
  record.size,
  record.mimetype,
  record.etag,
  record.owner,
  record.createdAt,
  record.status ?? null,
  foldName(record.name),
  folderTokens(record.bucket, record.key).join(' '),
  JSON.stringify(folderEnds(record.key)),
]

/** Returns the record of a row, or null if it is malformed. */
export function fromRow({
  bucket,
  key,
  created_at: createdAt,
  status,
  ...row
}: FileRow): FileRecord | null {
  if (typeof bucket !== 'string' || typeof key !== 'string' || objectKeyError(key) !== null)
    return null
  return toRecord(bucket, parseObjectKey(key), {
    ...row,
    createdAt,
    ...(status !== null && { status }),
  })
}

/** A row of `presigner_files`, as D1 returns it. */
export type FileRow = Readonly<Record<string, unknown>>

/**
 * In the byte order of UTF-8, everything that starts with a prefix is less than the prefix followed by
 * this. No character is greater, and a key has at most 1024 bytes, which are 256 of these.
 */
export const GREATEST = '\u{10ffff}'.repeat(257)

/**
 * Returns a word for the bucket and one for each folder above a key, or above a prefix: the last one
 * is on every row below it. Two folders may have the same word, so a query compares the key too.
 */
export function folderTokens(bucket: string, key: string): string[] {
  const tokens: string[] = []
  let [one, two] = [0xdeadbeef, 0x41c6ce57]
  for (const character of `${bucket}/${key}`) {
    const code = character.codePointAt(0) ?? 0
    one = Math.imul(one ^ code, 2654435761)
    two = Math.imul(two ^ code, 1597334677)
    if (character !== '/' || tokens.length === MAX_TOKENS) continue
    const high = (Math.imul(one ^ (one >>> 16), 2246822507) ^ (two >>> 13)) >>> 0
    const low = (Math.imul(two ^ (two >>> 16), 3266489909) ^ (one >>> 13)) >>> 0
    // With the depth, since a tenant may choose folders so that they have the hash of another's.
    tokens.push(`f${high.toString(36)}x${low.toString(36)}x${tokens.length.toString(36)}`)
  }
  return tokens
}

/** Returns the lengths of the first folders above a key, in characters. The first is the bucket's. */
function folderEnds(key: string): number[] {
  const ends = [0]
  let length = 0
  for (const character of key) {
    length++
    if (character === '/' && ends.length < MAX_COUNTED_FOLDERS) ends.push(length)
  }
  return ends
}
