import { ApiError } from '../../errors/api-error.ts'
import type { FileIndex } from '../../records/file-index.ts'
import type { SqlDatabase, SqlStatement } from '../../records/sql.ts'
import { d1FileIndex } from './d1-file-index.ts'

/** A connection of `node:sqlite`. */
interface Connection {
  exec(text: string): void
  prepare(text: string): { all<Row>(...values: readonly unknown[]): Row[] }
}

/** What the index needs of Node's modules. */
interface Modules {
  'node:sqlite': { readonly DatabaseSync: new (path: string) => Connection }
  'node:fs': { mkdirSync(path: string, options: { readonly recursive: true }): void }
  'node:path': { resolve(path: string): string; dirname(path: string): string }
}

/** Node's own. Imports of these modules would end every other runtime, and confuse bundlers. */
declare const process: {
  readonly env: Readonly<Record<string, string | undefined>>
  getBuiltinModule?<Name extends keyof Modules>(name: Name): Modules[Name] | undefined
}

/** Variables of the runtimes whose disk is gone after a while, and what people call those. */
const TEMPORARY = {
  VERCEL: 'Vercel',
  NETLIFY: 'Netlify',
  AWS_LAMBDA_FUNCTION_NAME: 'AWS Lambda',
  FUNCTIONS_WORKER_RUNTIME: 'Azure Functions',
}

/** The open databases of a process, by their files, where a module that development loads again finds them. */
const shared = globalThis as { edgePresignerDatabases?: Map<string, SqlDatabase> }

/**
 * Returns an index in a file of SQLite at `path`, for Node 22.16 and newer. Creates the file and its folders.
 * It has the tables of the index in D1 (docs/maintainers/stored-data.md). Several processes of a machine may
 * share it. Throws `misconfigured` where the file can't be written, or won't stay.
 */
export function sqliteFileIndex(path: string): FileIndex {
  if (typeof path !== 'string' || path === '') throw unusable('needs the path of its file')
  const node = typeof process === 'object' ? process : undefined
  const paths = node?.getBuiltinModule?.('node:path')
  const fs = node?.getBuiltinModule?.('node:fs')
  const sqlite = node?.getBuiltinModule?.('node:sqlite')
  if (!(node && paths && fs && sqlite)) throw unusable(TOO_OLD)
  for (const [variable, name] of Object.entries(TEMPORARY))
    if (node.env[variable])
      throw unusable(`can't be a file on ${name}, whose disk is temporary. Use a database`)
  const file = paths.resolve(path)
  shared.edgePresignerDatabases ??= new Map()
  const open = shared.edgePresignerDatabases
  const known = open.get(file)
  if (known) return d1FileIndex(known)
  if (!hasSearch(sqlite)) throw unusable(TOO_OLD)
  try {
    fs.mkdirSync(paths.dirname(file), { recursive: true })
    const database = sqliteDatabase(new sqlite.DatabaseSync(file))
    open.set(file, database)
    return d1FileIndex(database)
  } catch (cause) {
    // Without the path, which everybody could read in /healthz.
    const { errstr, code } = Object(cause)
    throw unusable(`can't open or write its file: ${errstr ?? code}`, cause)
  }
}

/** Tells whether there is SQLite with FTS5, with which the index searches: not in Node 22.15, and not in Workers. */
function hasSearch({ DatabaseSync }: Modules['node:sqlite']): boolean {
  try {
    const found = new DatabaseSync(':memory:').prepare(
      "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'",
    )
    return found.all().length > 0
  } catch {
    return false
  }
}

const TOO_OLD = 'needs Node 22.16 or newer'

const unusable = (reason: string, cause?: unknown): ApiError =>
  new ApiError('misconfigured', `${reason}.`, { reason: 'settings', cause })

/** A statement with its values, which runs in a batch. */
interface Bound extends SqlStatement {
  rows<Row>(): Row[]
}

/** Node 22 reads a text only up to its first NUL, which a file name may have. */
const toStored = (value: unknown): unknown =>
  typeof value === 'string'
    ? value.replaceAll('\u001a', '\u001a1').replaceAll('\u0000', '\u001a0')
    : value

/** Returns a row with the texts that were stored. */
function fromStored<Row>(row: Row): Row {
  for (const [name, value] of Object.entries(Object(row)))
    if (typeof value === 'string' && value.includes('\u001a')) {
      const text = value.replaceAll('\u001a0', '\u0000').replaceAll('\u001a1', '\u001a')
      Reflect.set(Object(row), name, text)
    }
  return row
}

/** Returns the interface of D1 for a connection. Throws if the file can't be written. */
function sqliteDatabase(connection: Connection): SqlDatabase {
  // A write waits up to 5 seconds for that of another process.
  connection.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL')
  connection.exec('BEGIN IMMEDIATE; COMMIT')
  const statement = (text: string, values: readonly unknown[]): Bound => ({
    bind: (...bound) => statement(text, bound),
    rows: <Row>() => {
      const stored = values.map(toStored)
      // Node before 22.20 binds `?1` only by its name.
      const rows = /\?1\b/.test(text)
        ? connection
            .prepare(text)
            .all<Row>(Object.fromEntries(stored.map((value, i) => [`?${i + 1}`, value])))
        : connection.prepare(text).all<Row>(...stored)
      return rows.map(fromStored)
    },
  })
  return {
    prepare: (text) => statement(text, []),
    // Without a pause, so that nothing else of this process gets into the transaction.
    async batch<Row>(statements: Bound[]) {
      connection.exec('BEGIN IMMEDIATE')
      try {
        const results = statements.map((one) => ({ results: one.rows<Row>() }))
        connection.exec('COMMIT')
        return results
      } catch (error) {
        try {
          connection.exec('ROLLBACK')
        } catch {
          // SQLite has ended the transaction itself, as when the disk is full.
        }
        throw error
      }
    },
  }
}
