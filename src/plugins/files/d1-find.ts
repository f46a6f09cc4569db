import type { AnsweredPage, FileQuery, Folder, Totals } from '../../records/file-query.ts'
import type { SqlDatabase, SqlStatement } from '../../records/sql.ts'
import {
  type Database,
  type FileRow,
  folderTokens,
  fromRow,
  GREATEST,
  MAX_COUNTED_FOLDERS,
} from './d1-schema.ts'
import { wordsOf } from './search-text.ts'

/**
 * A set of rows up to this size is read whole and sorted. A larger one is walked in its order: a page
 * ends after this many rows, even if it has found nothing.
 */
export const MAX_ROWS = 10_000

/** A prefix with up to a twentieth of `MAX_ROWS` is read whole, even for a search. */
const FEW = 20

const COLUMNS =
  'f.bucket, f.key, f.name, f.size, f.mimetype, f.etag, f.owner, f.created_at, f.status'

/** The column of each order. Each has an index that continues with the key. */
const SORTED = { createdAt: 'created_at', name: 'folded', size: 'size' } as const

type Value = string | number

/** The last one of a page: the value that it is sorted by, and its key; or a folder, or a key, after which the folders go on. */
type Position = readonly [folder: string, key?: undefined] | readonly [value: Value, key: string]

/** The values of a statement, each with the number under which the statement names it. */
export class Parameters {
  readonly values: Value[] = []

  /** Returns the name of `value`. D1 allows 100 in one statement. */
  add(value: Value): string {
    const known = this.values.indexOf(value)
    return `?${known === -1 ? this.values.push(value) : known + 1}`
  }
}

/** A statement and what it binds. */
export interface Statement {
  readonly sql: string
  readonly values: readonly Value[]
}

export const prepare = (db: SqlDatabase, { sql, values }: Statement): SqlStatement =>
  db.prepare(sql).bind(...values)

/** Returns the condition for all keys that start with `prefix`. */
export const keysBelow = (
  parameters: Parameters,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  key = 'key',
): string =>
  `bucket = ${parameters.add(bucket)} AND ${key} >= ${parameters.add(prefix)} AND ${key} < ${parameters.add(prefix + GREATEST)}`

/** Returns the start of `prefix` up to the last slash. */
export const folderOf = (prefix: string): string => prefix.slice(0, prefix.lastIndexOf('/') + 1)

/** Tells whether the totals have the folders directly below `folder`. */
export const hasCountedFolders = (folder: string): boolean =>
  folder.split('/').length < MAX_COUNTED_FOLDERS

/** Returns one page. */
export async function find(
  database: Database,
  db: SqlDatabase,
  query: FileQuery,
  maxRows = MAX_ROWS,
): Promise<AnsweredPage> {
  const { q, delimiter, cursor, limit } = query
  const words = q === undefined ? [] : wordsOf(q)
  if (q !== undefined && words.length === 0)
    return { records: [], cursor: undefined, unreadable: 0 }
  // Clients get it only sealed, so this function has made it.
  const position: Position | undefined = cursor === undefined ? undefined : JSON.parse(cursor)
  const after = position?.[1] === undefined ? undefined : position
  const lastFolder = position?.[1] === undefined ? position?.[0] : undefined
  const folderStatement =
    delimiter === undefined || after !== undefined
      ? undefined
      : foldersStatement(query, lastFolder, maxRows)
  const filesStatement =
    delimiter !== undefined && query.sort === undefined
      ? directStatement(query, after?.[1], maxRows)
      : filesOf(query, words, after, maxRows)
  const results = await database.run(
    [...(folderStatement ? [folderStatement] : []), filesStatement].map((one) => prepare(db, one)),
  )
  const found =
    folderStatement === undefined ? [] : (results[0]?.results as unknown as FoundFolder[])
  const { folders: all, goesOn } = foldersIn(found, maxRows)
  const folders = all.slice(0, limit)
  const rows = results.at(-1)?.results as unknown as FoundRow[]
  const page = pageOf(rows, words, limit - folders.length, maxRows)
  if (delimiter === undefined) return page
  const next = all.length > limit ? folders.at(-1)?.prefix : goesOn
  if (next !== undefined)
    return { records: [], unreadable: 0, folders, cursor: JSON.stringify([next]) }
  const isFull = folders.length === limit && rows.length > 0
  return { ...page, folders, ...(isFull && { cursor: JSON.stringify([folders.at(-1)?.prefix]) }) }
}

/** Without a prefix, the files that are in none. `read` is how many rows were read, and `last` the last key. */
interface FoundFolder extends Totals {
  readonly prefix: string | null
  readonly read?: number
  readonly last?: string
}

/** Returns the folders that were read, and after what the others go on, if as many rows were read as may be. */
function foldersIn(found: readonly FoundFolder[], maxRows: number) {
  const folders = found.flatMap(({ prefix, count, bytes }): Folder[] =>
    prefix === null ? [] : [{ prefix, count, bytes }],
  )
  const { read, last = '' } = found[0] ?? {}
  if (read !== maxRows) return { folders, goesOn: undefined }
  const cut = folders.at(-1)
  if (cut === undefined || !last.startsWith(cut.prefix)) return { folders, goesOn: last }
  // It may have more files. The next page shows it, unless it is the only one.
  const whole = folders.length === 1 ? folders : folders.slice(0, -1)
  return { folders: whole, goesOn: whole.at(-1)?.prefix }
}

interface FoundRow extends FileRow {
  /** Number of the row in its walk. `maxRows` is the last one, even if it isn't a hit. */
  readonly n: number
  readonly hit: 0 | 1
  readonly key: string
  /** What the list is sorted by. */
  readonly sorted: Value
}

/** Returns the first `limit` of `rows`, and where the next page starts. */
function pageOf(
  rows: readonly FoundRow[],
  words: readonly string[],
  limit: number,
  maxRows: number,
): AnsweredPage {
  const shown = rows.slice(0, limit)
  const files = shown.filter(({ hit }) => hit === 1)
  const valid = files.flatMap((row) => fromRow(row) ?? [])
  const last = shown.at(-1)
  const hasMore = rows.length > limit || last?.n === maxRows
  return {
    records: valid.filter(({ name }) => hasWords(name, words)),
    unreadable: files.length - valid.length,
    cursor: last && hasMore ? JSON.stringify([last.sorted, last.key]) : undefined,
  }
}

/** Tells whether each of `words` begins a word of `name`. The index may also find other names. */
function hasWords(name: string, words: readonly string[]): boolean {
  if (words.length === 0) return true
  const own = wordsOf(name)
  return words.every((word) => own.some((one) => one.startsWith(word)))
}

/**
 * Returns the statement for files. It counts each set of rows that a condition leaves, at most to
 * `maxRows`, and reads and sorts the first set that is small. If none is, it walks the index of the
 * order, for at most `maxRows` rows. So no page reads the whole table.
 */
export function filesOf(
  query: FileQuery,
  words: readonly string[],
  after: readonly [Value, string] | undefined,
  maxRows = MAX_ROWS,
): Statement {
  const { bucket, prefix, sort, owner, type, createdAfter, createdBefore, minSize, maxSize } = query
  const parameters = new Parameters()
  const add = (value: Value): string => parameters.add(value)
  const inBucket = `f.bucket = ${add(bucket)}`
  const inPrefix = [`f.key >= ${add(prefix)}`, `f.key < ${add(prefix + GREATEST)}`]
  const compare = (column: string, operator: string, value: Value | undefined): string[] =>
    value === undefined ? [] : [`f.${column} ${operator} ${add(value)}`]
  const created = [
    ...compare('created_at', '>=', createdAfter),
    ...compare('created_at', '<', createdBefore),
  ]
  const sizes = [...compare('size', '>=', minSize), ...compare('size', '<=', maxSize)]
  const owners = compare('owner', '=', owner)
  const types = type === undefined ? [] : [typeIs(parameters, type.toLowerCase())]
  const direct =
    query.delimiter === undefined
      ? []
      : [`instr(substr(f.key, ${add([...prefix].length + 1)}), '/') = 0`]

  /** What the list is sorted by, apart from the key. */
  const column = sort && SORTED[sort.replace('-', '') as keyof typeof SORTED]
  const columns = `${COLUMNS}, f.${column ?? 'key'} AS sorted`
  const direction = sort?.startsWith('-') ? 'DESC' : 'ASC'
  const order = `${column ? `f.${column} ${direction}, ` : ''}f.key ${direction}`
  const operator = direction === 'DESC' ? '<' : '>'
  const next = after
    ? [
        column
          ? `(f.${column}, f.key) ${operator} (${add(after[0])}, ${add(after[1])})`
          : `f.key > ${add(after[1])}`,
      ]
    : []
  const named = words.map((word) => `instr(f.folded, ${add(word)}) > 0`)
  const holds = [...inPrefix, ...created, ...sizes, ...owners, ...types, ...direct, ...named]
  const all = [inBucket, ...holds, ...next]
  const table = (index: string) => `presigner_files AS f INDEXED BY ${index}`
  const byKey = 'sqlite_autoindex_presigner_files_1'

  /** Sets of rows, the likely smallest ones first: where they are, and which conditions find them. */
  const sets: {
    readonly from: string
    readonly where: readonly string[]
    /** Where they are counted, if that isn't `from`. */
    readonly counted?: string
    /** How many rows are few enough to be read, if that isn't `maxRows`. */
    readonly most?: number
  }[] = []
  const below = { from: table(byKey), where: [inBucket, ...inPrefix] }
  if (words.length > 0) {
    // Before its first hit, FTS5 reads everybody's files that have a word with this beginning.
    if (prefix !== '') sets.push({ ...below, most: Math.floor(maxRows / FEW) })
    const match = [
      `tokens : "${folderTokens(bucket, prefix).at(-1)}"`,
      ...words.map((word) => `folded : "${word}"*`),
    ].join(' AND ')
    sets.push({
      from: 'presigner_words AS w CROSS JOIN presigner_files AS f ON f.id = w.rowid',
      counted: 'presigner_words AS w',
      where: [`w.presigner_words MATCH ${add(match)}`],
    })
  }
  const scan = query.delimiter && skipScan(parameters, { bucket, prefix }, undefined, maxRows + 1)
  if (scan)
    sets.push({
      from: `step CROSS JOIN presigner_files AS f ON ${inBucket} AND f.key = step.key`,
      counted: 'step',
      where: ['step.key IS NOT NULL'],
    })
  else if (sort !== undefined || words.length + created.length + sizes.length > 0)
    if (owner !== undefined)
      sets.push({ from: table('presigner_files_owner'), where: [inBucket, ...owners, ...inPrefix] })
    else if (prefix !== '') sets.push(below)
  if (created.length > 0 && column !== 'created_at')
    sets.push({ from: table('presigner_files_created_at'), where: [inBucket, ...created] })
  if (sizes.length > 0 && column !== 'size')
    sets.push({ from: table('presigner_files_size'), where: [inBucket, ...sizes] })

  sets.splice(4) // D1 allows five SELECTs in a UNION, and the walk is one.

  const choices = sets.map(
    ({ from, counted = from, where, most = maxRows }, i) =>
      `WHEN (SELECT count(*) FROM (SELECT 1 FROM ${counted} WHERE ${where.join(' AND ')} LIMIT ${most + 1})) <= ${most} THEN ${i}`,
  )
  const chosen = `${scan ? `${scan.steps},` : 'WITH'} choice AS MATERIALIZED (SELECT CASE ${choices.join(' ')} ELSE -1 END AS number)`
  const limit = (i: number) =>
    `LIMIT CASE WHEN (SELECT number FROM choice) = ${i} THEN ${query.limit + 1} ELSE 0 END`
  const read = sets.map(
    ({ from, where }, i) =>
      `SELECT * FROM (SELECT 0 AS n, 1 AS hit, ${columns} FROM ${from} WHERE ${[...where, ...all].join(' AND ')} ORDER BY ${order} ${limit(i)})`,
  )

  // The walk starts where the order's own conditions, and the last page, say.
  const walked =
    column === 'created_at'
      ? [inBucket, ...created]
      : column === 'size'
        ? [inBucket, ...sizes]
        : column === 'folded'
          ? [inBucket]
          : [inBucket, ...owners, ...inPrefix]
  const index = column
    ? `presigner_files_${column}`
    : owner === undefined
      ? byKey
      : 'presigner_files_owner'
  // Of two bounds on one column, SQLite may take the wrong one.
  const start = next.length === 0 ? walked : startsAfter(walked, next, column ?? 'key', operator)
  const walk = `SELECT * FROM (SELECT row_number() OVER () AS n, * FROM (SELECT ${holds.join(' AND ')} AS hit, ${columns} FROM ${table(index)} WHERE ${start.join(' AND ')} ORDER BY ${order} LIMIT ${sets.length === 0 ? maxRows : `CASE WHEN (SELECT number FROM choice) = -1 THEN ${maxRows} ELSE 0 END`})) WHERE hit OR n = ${maxRows} LIMIT ${query.limit + 1}`
  return {
    sql:
      sets.length === 0
        ? walk
        : `${chosen} ${[...read, `SELECT * FROM (${walk})`].join(' UNION ALL ')}`,
    values: parameters.values,
  }
}

/** Returns the condition for files of a type in lower case. Stored types may have parameters. */
function typeIs(parameters: Parameters, type: string): string {
  const own = 'lower(f.mimetype)'
  const between = (from: string, to: string) =>
    `(${own} >= ${parameters.add(from)} AND ${own} < ${parameters.add(to)})`
  // In ASCII, 0 follows the slash, and < follows the semicolon.
  if (type.endsWith('/*')) return between(type.slice(0, -1), `${type.slice(0, -2)}0`)
  return `(${own} = ${parameters.add(type)} OR ${between(`${type};`, `${type}<`)})`
}

/** Returns the conditions without the bound that `next` replaces. */
const startsAfter = (
  walked: readonly string[],
  next: readonly string[],
  column: string,
  operator: string,
): string[] => [...walked.filter((one) => !one.startsWith(`f.${column} ${operator}`)), ...next]

/** Returns the statement for folders directly below the prefix, after a folder or a key. */
export function foldersStatement(
  { bucket, prefix, limit }: FileQuery,
  after: string | undefined,
  maxRows = MAX_ROWS,
): Statement {
  const parameters = new Parameters()
  const add = (value: Value): string => parameters.add(value)
  const parent = folderOf(prefix)
  if (hasCountedFolders(parent)) {
    const from = after === undefined ? `folder >= ${add(prefix)}` : `folder > ${add(after)}`
    return {
      sql: `SELECT folder AS prefix, count, bytes FROM presigner_folders WHERE bucket = ${add(bucket)} AND parent = ${add(parent)} AND ${from} AND folder < ${add(prefix + GREATEST)} ORDER BY folder LIMIT ${limit + 1}`,
      values: parameters.values,
    }
  }
  // No total covers these rows.
  const from =
    after === undefined
      ? `key >= ${add(prefix)}`
      : `key > ${add(after.endsWith('/') ? after + GREATEST : after)}`
  const rows = `SELECT key, size FROM presigner_files WHERE bucket = ${add(bucket)} AND ${from} AND key < ${add(prefix + GREATEST)} ORDER BY key LIMIT ${maxRows}`
  return {
    sql: `WITH row AS MATERIALIZED (${rows}) SELECT ${folderBelow(parameters, prefix, 'row.key')} AS prefix, count(*) AS count, sum(size) AS bytes, (SELECT count(*) FROM row) AS read, (SELECT max(key) FROM row) AS last FROM row GROUP BY 1 ORDER BY 1 LIMIT ${limit + 2}`,
    values: parameters.values,
  }
}

/** Returns the folder directly below `prefix` that a key is in, or null. */
function folderBelow(parameters: Parameters, prefix: string, key: string): string {
  const rest = `substr(${key}, ${parameters.add([...prefix].length + 1)})`
  return `CASE WHEN instr(${rest}, '/') > 0 THEN ${parameters.add(prefix)} || substr(${rest}, 1, instr(${rest}, '/')) END`
}

/** Returns the statement for files directly below the prefix, in the order of the keys. */
export function directStatement(
  { bucket, prefix, limit }: FileQuery,
  after: string | undefined,
  maxRows = MAX_ROWS,
): Statement {
  const parameters = new Parameters()
  const { steps, folder } = skipScan(parameters, { bucket, prefix }, after, maxRows)
  const columns = `${folder} IS NULL AS hit, ${COLUMNS}, f.key AS sorted`
  return {
    sql: `${steps} SELECT step.n, ${columns} FROM step CROSS JOIN presigner_files AS f ON f.bucket = ${parameters.add(bucket)} AND f.key = step.key WHERE ${folder} IS NULL OR step.n = ${maxRows} LIMIT ${limit + 1}`,
    values: parameters.values,
  }
}

/**
 * Returns a table `step` with one row for each file directly below `prefix`, and one for the first key
 * of each folder there: each row looks for the next key behind its own, or behind its folder.
 */
function skipScan(
  parameters: Parameters,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  after: string | undefined,
  maxRows: number,
) {
  const add = (value: Value): string => parameters.add(value)
  const folder = folderBelow(parameters, prefix, 'step.key')
  const find = (from: string) =>
    `(SELECT f.key FROM presigner_files AS f WHERE f.bucket = ${add(bucket)} AND f.key ${from} AND f.key < ${add(prefix + GREATEST)} ORDER BY f.key LIMIT 1)`
  const first = find(after === undefined ? `>= ${add(prefix)}` : `> ${add(after)}`)
  const next = find(`> coalesce(${folder} || ${add(GREATEST)}, step.key)`)
  return {
    steps: `WITH RECURSIVE step(n, key) AS (SELECT 1, ${first} UNION ALL SELECT n + 1, ${next} FROM step WHERE key IS NOT NULL AND n < ${maxRows})`,
    folder,
  }
}
