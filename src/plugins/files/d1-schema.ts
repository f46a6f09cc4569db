import { ApiError, isPresignerError } from '../../errors/api-error.ts'
import { objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import { indexUnavailable } from '../../records/file-index.ts'
import type { FileRecord } from '../../records/file-record.ts'
import { fromMetadata } from './kv-metadata.ts'
import { foldName } from './words.ts'

/** Folders above a key that are words of its row, the bucket included. */
const MAX_TOKENS = 33
/** Folders above a key that have totals, the bucket included. */
export const MAX_COUNTED_FOLDERS = 8
/** Rows that one batch fills in. A query of D1 may take 30 seconds. */
const CHUNK_ROWS = 500
/** Chunks for which a question waits. */
const CHUNKS_AT_ONCE = 8

/** Columns of a record, in the order of `rowValues`. */
export const COLUMNS =
  'bucket, key, name, size, mimetype, etag, owner, created_at, status, folded, tokens, folders'

/**
 * The status of a row. A write that keeps it adds or removes a space, so that a trigger can tell it from that of an
 * older Worker, which keeps a status only because it knows none.
 */
export const STATUS = 'rtrim(status)'
export const NEW_STATUS =
  "iif(old.status IS excluded.status, excluded.status || ' ', excluded.status)"

/** The rows that a step has not filled in yet: their ids are at most this. */
const todo = (step: number) => `(SELECT todo FROM presigner_schema WHERE step = ${step})`
const rowsToDo = (step: number) =>
  `(SELECT * FROM presigner_files WHERE id <= ${todo(step)} ORDER BY id DESC LIMIT ${CHUNK_ROWS})`
const changed = (...columns: string[]) =>
  columns.map((column) => `OLD.${column} IS NOT NEW.${column}`).join(' OR ')

const addWords = (row: string, source = '') =>
  `INSERT INTO presigner_words (rowid, folded, tokens) SELECT ${row}.id, ${row}.folded, ${row}.tokens ${source};`
const removeWords = `INSERT INTO presigner_words (presigner_words, rowid, folded, tokens) VALUES ('delete', OLD.id, OLD.folded, OLD.tokens);`

/** Adds rows to the totals, or subtracts them. */
function count(row: string, sign: '' | '-', source = ''): string[] {
  const from = `FROM ${source} json_each(${row}.folders) AS f`
  const folder = `substr(${row}.key, 1, f.value)`
  // Not CASE: D1's own parser may take its END for that of the trigger (workers-sdk#4727).
  const parent = `iif(f.key = 0, '-', substr(${row}.key, 1, json_extract(${row}.folders, '$[' || (f.key - 1) || ']')))`
  const sums = `${sign}count(*), ${sign}sum(${row}.size)`
  const add =
    'ON CONFLICT DO UPDATE SET count = count + excluded.count, bytes = bytes + excluded.bytes;'
  const total = (kind: string, value: string) =>
    `INSERT INTO presigner_totals SELECT ${row}.bucket, ${folder}, '${kind}', ${value}, ${sums} ${from} WHERE true GROUP BY 1, 2, 4 ${add}`
  return [
    `INSERT INTO presigner_folders SELECT ${row}.bucket, ${parent}, ${folder}, ${sums} ${from} WHERE true GROUP BY 1, 2, 3 ${add}`,
    total('type', `${row}.mimetype`),
    total('owner', `coalesce('=' || ${row}.owner, '')`),
    total('day', `substr(${row}.created_at, 1, 10)`),
  ]
}

const trigger = (name: string, event: string, when: string, statements: readonly string[]) =>
  `CREATE TRIGGER presigner_${name} AFTER ${event} WHEN ${when} BEGIN ${statements.join(' ')} END`

/** A version of the schema. */
export interface Step {
  readonly statements: readonly string[]
  /** Fills in the next `CHUNK_ROWS` existing rows. */
  readonly fill: readonly string[]
}

/**
 * What each version of the schema adds (docs/maintainers/d1-schema.md). A step that was released never changes, and a
 * later one only adds, since an older Worker keeps writing its columns. Triggers do the rest.
 */
export const STEPS: readonly Step[] = [
  {
    statements: [
      'CREATE TABLE presigner_files (id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mimetype TEXT NOT NULL, etag TEXT NOT NULL, owner TEXT, created_at TEXT NOT NULL, folded TEXT NOT NULL, tokens TEXT NOT NULL, folders TEXT NOT NULL, UNIQUE (bucket, key))',
      ...['created_at', 'folded', 'size', 'owner'].map(
        (column) =>
          `CREATE INDEX presigner_files_${column} ON presigner_files (bucket, ${column}, key)`,
      ),
    ],
    fill: [],
  },
  {
    statements: [
      `CREATE VIRTUAL TABLE presigner_words USING fts5(folded, tokens, content='presigner_files', content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='1 2 3')`,
      trigger('words_insert', 'INSERT ON presigner_files', `NEW.id > ${todo(2)}`, [
        addWords('NEW'),
      ]),
      trigger(
        'words_update',
        'UPDATE ON presigner_files',
        `OLD.id > ${todo(2)} AND (${changed('folded', 'tokens')})`,
        [removeWords, addWords('NEW')],
      ),
      trigger('words_delete', 'DELETE ON presigner_files', `OLD.id > ${todo(2)}`, [removeWords]),
    ],
    fill: [addWords('r', `FROM ${rowsToDo(2)} AS r`)],
  },
  {
    statements: [
      'CREATE TABLE presigner_folders (bucket TEXT NOT NULL, parent TEXT NOT NULL, folder TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (bucket, parent, folder)) WITHOUT ROWID',
      'CREATE TABLE presigner_totals (bucket TEXT NOT NULL, folder TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (bucket, folder, kind, value)) WITHOUT ROWID',
      trigger('folders_empty', 'UPDATE ON presigner_folders', 'NEW.count = 0', [
        'DELETE FROM presigner_folders WHERE bucket = NEW.bucket AND parent = NEW.parent AND folder = NEW.folder;',
      ]),
      trigger('totals_empty', 'UPDATE ON presigner_totals', 'NEW.count = 0', [
        'DELETE FROM presigner_totals WHERE bucket = NEW.bucket AND folder = NEW.folder AND kind = NEW.kind AND value = NEW.value;',
      ]),
      trigger(
        'totals_insert',
        'INSERT ON presigner_files',
        `NEW.id > ${todo(3)}`,
        count('NEW', ''),
      ),
      trigger(
        'totals_update',
        'UPDATE ON presigner_files',
        `OLD.id > ${todo(3)} AND (${changed('size', 'mimetype', 'owner', 'created_at', 'folders')})`,
        [...count('NEW', ''), ...count('OLD', '-')],
      ),
      trigger(
        'totals_delete',
        'DELETE ON presigner_files',
        `OLD.id > ${todo(3)}`,
        count('OLD', '-'),
      ),
    ],
    fill: count('r', '', `${rowsToDo(3)} AS r,`),
  },
  {
    statements: [
      'ALTER TABLE presigner_files ADD COLUMN status TEXT',
      'CREATE TABLE presigner_since (id INTEGER PRIMARY KEY CHECK (id = 1), date TEXT NOT NULL)',
      trigger(
        'status_update',
        'UPDATE ON presigner_files',
        'NEW.status IS OLD.status AND NEW.status IS NOT NULL',
        ['UPDATE presigner_files SET status = NULL WHERE id = NEW.id;'],
      ),
      // An empty index has lost its records, or begins again.
      trigger(
        'since_empty',
        'DELETE ON presigner_files',
        'NOT EXISTS (SELECT 1 FROM presigner_files)',
        ['DELETE FROM presigner_since;'],
      ),
    ],
    fill: [],
  },
]

/** A database whose tables are there when they are needed. */
export interface Database {
  /**
   * Runs statements in one batch, which D1 runs as a transaction on the primary, so that it sees every
   * earlier write. A statement that `isAnswer` needs all tables of this version, and all rows in them.
   * Throws `index_unavailable`, and `misconfigured` if the tables are somebody else's.
   */
  run(
    statements: readonly D1PreparedStatement[],
    isAnswer?: boolean,
  ): Promise<readonly D1Result<FileRow>[]>
}

/** Returns a database that creates and migrates its tables. `steps` is for tests. */
export function openDatabase(db: D1Database, steps = STEPS): Database {
  /** Whether all tables are there and filled in. Then the version needs no check. */
  let isComplete = false

  const batch = <T = unknown>(statements: readonly string[]) =>
    db.batch<T>(statements.map((sql) => db.prepare(sql)))

  const migrate = async (from: number): Promise<void> => {
    for (const [i, { statements, fill }] of steps.entries()) {
      if (i < from) continue
      const last = fill.length === 0 ? '0' : 'coalesce((SELECT max(id) FROM presigner_files), 0)'
      try {
        await batch([
          ...(i === 0 ? [CREATE_SCHEMA] : []),
          // If another isolate was faster, this fails, and nothing of the batch happens.
          i === 0
            ? 'INSERT INTO presigner_schema VALUES (1, 0)'
            : `INSERT INTO presigner_schema SELECT ${i + 1}, ${last}`,
          ...statements,
        ])
      } catch (error) {
        if (!/UNIQUE constraint failed: presigner_schema/.test(String(error))) throw error
      }
    }
  }

  /** Fills in chunks of what is left to do. Throws `index_unavailable` if that isn't all. */
  const fillIn = async (left: readonly Version[]): Promise<void> => {
    let chunks = 0
    for (const { step, todo } of left) {
      for (let rest = todo; rest > 0; chunks++) {
        if (chunks === CHUNKS_AT_ONCE)
          throw indexUnavailable(new Error(`Step ${step} of the schema is not filled in yet.`), 1)
        const results = await batch<{ todo: number }>([
          ...(steps[step - 1]?.fill ?? []),
          `UPDATE presigner_schema SET todo = coalesce((SELECT id FROM presigner_files WHERE id <= todo ORDER BY id DESC LIMIT 1 OFFSET ${CHUNK_ROWS}), 0) WHERE step = ${step} RETURNING todo`,
        ])
        rest = results.at(-1)?.results[0]?.todo ?? 0
      }
    }
  }

  const attempt = async (
    statements: readonly D1PreparedStatement[],
    isAnswer: boolean,
  ): Promise<readonly D1Result<FileRow>[] | null> => {
    if (isComplete) return db.batch<FileRow>([...statements])
    const [version, ...results] = await db.batch<FileRow>([db.prepare(VERSION), ...statements])
    const found = (version?.results ?? []).map(
      (row): Version => ({ step: Number(row.step), todo: Number(row.todo) }),
    )
    if (found.length < steps.length) await migrate(found.length)
    const left = found.filter(({ step, todo }) => todo > 0 && step <= steps.length)
    isComplete = left.length === 0 && found.length >= steps.length
    if (isComplete || !isAnswer) return results
    await fillIn(left)
    return null
  }

  return {
    async run(statements, isAnswer = false) {
      // Tables are created, then filled in: a statement runs three times at most.
      for (let repeats = 0; repeats < 4; repeats++) {
        try {
          const results = await attempt(statements, isAnswer)
          if (results !== null) return results
        } catch (error) {
          if (isPresignerError(error)) throw error
          if (repeats > 0 || !MISSING.test(String(error))) throw asApi(error)
          isComplete = false
          await migrate(0).catch((cause: unknown) => {
            throw asApi(cause)
          })
        }
      }
      throw indexUnavailable(new Error('The rows of presigner_schema are not those of its tables.'))
    },
  }
}

interface Version {
  readonly step: number
  readonly todo: number
}

const CREATE_SCHEMA =
  'CREATE TABLE IF NOT EXISTS presigner_schema (step INTEGER PRIMARY KEY, todo INTEGER NOT NULL)'
const VERSION = 'SELECT step, todo FROM presigner_schema ORDER BY step'

/** What D1 says if a table or a column of a later step is missing. */
const MISSING = /no such table: presigner_|no such column: (\w+\.)?status|no column named status/

/** Returns the error of the API for an error of D1. */
function asApi(cause: unknown): ApiError {
  if (!/already exists|no such column|has no column|has \d+ columns/.test(String(cause)))
    return indexUnavailable(cause)
  return new ApiError(
    'misconfigured',
    'The D1 database has tables of the same names (presigner_…) that are not of this version or not the index. Use a database of its own.',
    { cause },
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
  return fromMetadata(bucket, parseObjectKey(key), {
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
