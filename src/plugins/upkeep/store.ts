import { describe } from '../../errors/describe.ts'
import { type RunSql, type Sql, sql } from '../../records/sql.ts'
import type { WalkState } from './state.ts'

/** A step keeps others away for so long, also if it breaks off. */
export const LEASE_SECONDS = 120

/**
 * A key to look at: `collected` by a pass. Or one that failed, and may be recorded (`record`), get another date
 * (`update`), or be removed too, since the pass was allowed to act (`change`).
 */
export interface FoundKey {
  readonly key: string
  readonly kind: (typeof KINDS)[number]
  /** Looks that have failed. */
  readonly tries: number
}

const KINDS = ['collected', 'record', 'update', 'change'] as const

/** A walk whose step is due. Nobody else takes it until it is saved, or the lease ends. */
export interface Claim {
  readonly walk: string
  readonly state: WalkState
  readonly token: string
}

/** How far a walk has come. */
export interface WalkStatus {
  /** Null before the first pass. */
  readonly state: WalkState | null
  /** When the next step is due, in milliseconds since 1970, or null. */
  readonly nextAt: number | null
  /** Keys that a pass has collected, and keys that have failed. */
  readonly collected: number
  readonly failing: number
}

/** An object without an owner. `since` is when upkeep first saw it so, in milliseconds since 1970. */
export interface Ownerless {
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly since: number
}

/** The objects without an owner below a prefix. */
export interface OwnerlessSum {
  /** All of them, and those that have been so for long enough. */
  readonly all: number
  readonly count: number
  readonly bytes: number
}

export const TABLES: readonly Sql[] = [
  sql`CREATE TABLE IF NOT EXISTS presigner_walks (walk TEXT PRIMARY KEY, state TEXT NOT NULL, next_at INTEGER, token TEXT, until INTEGER NOT NULL)`,
  sql`CREATE TABLE IF NOT EXISTS presigner_found (walk TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, due_at INTEGER NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (walk, key)) WITHOUT ROWID`,
  sql`CREATE INDEX IF NOT EXISTS presigner_found_due ON presigner_found (walk, kind, due_at)`,
  sql`CREATE TABLE IF NOT EXISTS presigner_ownerless (walk TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (walk, key)) WITHOUT ROWID`,
]

/** Sorts after every continuation of a key. */
const GREATEST = '\u{10FFFF}'.repeat(4)

const among = (values: readonly string[]): Sql =>
  sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`

/** The kinds of keys that are due in a state. Those that may be removed wait until the brake has let a pass act. */
export const dueKinds = ({ stopped, order, phase }: WalkState): readonly FoundKey['kind'][] => {
  if (stopped !== null || order.mode === 'report') return []
  const acts = phase === 'acting' || phase === 'uploads' || phase === 'idle'
  return KINDS.filter((kind) =>
    kind === 'collected' ? phase === 'acting' : acts || kind !== 'change',
  )
}

/**
 * What walks remember, in the Durable Object of a bucket or in the database of an index. A walk has the name of its
 * alias, with `import ` before it for an import. Dates are in milliseconds since 1970.
 */
export class WalkStore {
  readonly #run: RunSql

  constructor(run: RunSql) {
    this.#run = async (statements) => (await run([...TABLES, ...statements])).slice(TABLES.length)
  }

  /** Returns the states of these walks, of those that have one. */
  async states(walks: readonly string[]): Promise<ReadonlyMap<string, WalkState>> {
    const [rows = []] = await this.#run([
      sql`SELECT walk, state FROM presigner_walks WHERE walk IN ${among(walks)}`,
    ])
    return new Map(rows.map(({ walk, state }) => [String(walk), readState(state)]))
  }

  /** Begins a pass. A step that is at work is not saved. What another bucket had is forgotten. */
  async begin(walk: string, state: WalkState, isOther: boolean): Promise<void> {
    await this.#run([
      sql`DELETE FROM presigner_found WHERE walk = ${walk} AND (kind = 'collected' OR ${Number(isOther)})`,
      sql`DELETE FROM presigner_ownerless WHERE walk = ${walk} AND ${Number(isOther)}`,
      put(walk, state),
    ])
  }

  /** Stores a state that a person has changed. A step that is at work is not saved. */
  async put(walk: string, state: WalkState): Promise<void> {
    await this.#run([put(walk, state)])
  }

  /** Takes the walk of these whose step is due first, or null if none is. */
  async claim(walks: readonly string[], now: number): Promise<Claim | null> {
    const token = crypto.randomUUID()
    const [rows = []] = await this.#run([
      sql`UPDATE presigner_walks SET token = ${token}, until = ${now + 1000 * LEASE_SECONDS} WHERE walk = (
        SELECT walk FROM presigner_walks WHERE walk IN ${among(walks)}
        AND next_at <= ${now} AND (token IS NULL OR until <= ${now}) ORDER BY next_at LIMIT 1
      ) RETURNING walk, state`,
    ])
    const [row] = rows
    return row === undefined ? null : { walk: String(row.walk), state: readState(row.state), token }
  }

  /** Stores what a step has left. Nothing of it, if somebody has begun another pass, or has the step by now. */
  async save({ walk, token }: Claim, state: WalkState, changes: readonly Sql[]): Promise<void> {
    const stored = this.#run([
      // Where the token is another one, this fails, and nothing of the batch happens.
      sql`INSERT INTO presigner_walks SELECT * FROM presigner_walks WHERE walk = ${walk} AND token IS NOT ${token}`,
      ...changes,
      put(walk, state),
    ])
    await stored.catch((error: unknown) => {
      if (!/UNIQUE constraint failed: presigner_walks/.test(describe(error))) throw error
    })
  }

  /** Returns keys of these kinds that are due, those that wait the longest first. */
  async due(
    walk: string,
    kinds: readonly FoundKey['kind'][],
    now: number,
    limit: number,
  ): Promise<readonly FoundKey[]> {
    const [rows = []] = await this.#run([
      sql`SELECT key, kind, tries FROM presigner_found WHERE walk = ${walk} AND due_at <= ${now}
        AND kind IN ${among(kinds)} ORDER BY due_at, key LIMIT ${limit}`,
    ])
    return rows.flatMap(({ key, kind: stored, tries }) => {
      const kind = KINDS.find((one) => one === stored)
      return kind === undefined ? [] : [{ key: String(key), kind, tries: Number(tries) }]
    })
  }

  /** Returns the state of a walk, when its next step is due, and how many keys wait for that. */
  async status(walk: string): Promise<WalkStatus> {
    const [[row] = [], found = []] = await this.#run([
      sql`SELECT state, next_at FROM presigner_walks WHERE walk = ${walk}`,
      sql`SELECT COUNT(*) AS n, kind = 'collected' AS is_collected FROM presigner_found WHERE walk = ${walk} GROUP BY 2`,
    ])
    const count = (is: number) => Number(found.find((one) => one.is_collected === is)?.n ?? 0)
    return {
      state: row === undefined ? null : readState(row.state),
      nextAt: typeof row?.next_at === 'number' ? row.next_at : null,
      collected: count(1),
      failing: count(0),
    }
  }

  /** Returns the keys after `after`, up to `until`, that have failed. Null stands for the end. */
  async failed(
    walk: string,
    after: string | null,
    until: string | null,
  ): Promise<ReadonlySet<string>> {
    const [rows = []] = await this.#run([
      sql`SELECT key FROM presigner_found WHERE walk = ${walk} AND kind <> 'collected'
        AND key > ${after ?? ''} AND key <= ${until ?? GREATEST}`,
    ])
    return new Set(rows.map(({ key }) => String(key)))
  }

  /** Returns the sum of the objects without an owner below a prefix, those since before `before` and after `after` apart. */
  async ownerlessSum(
    walk: string,
    prefix: string,
    before: number,
    after = '',
  ): Promise<OwnerlessSum> {
    const [rows = []] = await this.#run([
      sql`SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE since <= ${before} AND key > ${after}) AS old,
        COALESCE(SUM(size) FILTER (WHERE since <= ${before} AND key > ${after}), 0) AS bytes
        FROM presigner_ownerless WHERE walk = ${walk} AND key >= ${prefix} AND key < ${prefix + GREATEST}`,
    ])
    const { n, old, bytes } = rows[0] ?? {}
    return { all: Number(n ?? 0), count: Number(old ?? 0), bytes: Number(bytes ?? 0) }
  }

  /** Returns objects without an owner below a prefix since before `before`, in the order of their keys. */
  async ownerless(
    walk: string,
    prefix: string,
    before: number,
    limit: number,
    after = '',
  ): Promise<readonly Ownerless[]> {
    const [rows = []] = await this.#run([
      sql`SELECT key, etag, size, since FROM presigner_ownerless WHERE walk = ${walk} AND since <= ${before}
        AND key >= ${prefix} AND key < ${prefix + GREATEST} AND key > ${after} ORDER BY key LIMIT ${limit}`,
    ])
    return rows.map(({ key, etag, size, since }) => ({
      key: String(key),
      etag: String(etag),
      size: Number(size),
      since: Number(since),
    }))
  }

  async forgetOwnerless(walk: string, keys: readonly string[]): Promise<void> {
    await this.#run([
      sql`DELETE FROM presigner_ownerless WHERE walk = ${walk} AND key IN ${among(keys)}`,
    ])
  }
}

/** Returns when the next step of any walk is due, as `at`, or null. */
export const NEXT_AT = sql`SELECT MIN(MAX(next_at, IIF(token IS NULL, 0, until))) AS at FROM presigner_walks`

const put = (walk: string, state: WalkState): Sql =>
  sql`INSERT OR REPLACE INTO presigner_walks VALUES (${walk}, ${JSON.stringify(state)}, ${nextOf(walk, state)}, NULL, 0)`

/** When a walk is due: for its next step, or for a key that waits. */
const nextOf = (walk: string, state: WalkState): Sql =>
  sql`(SELECT MIN(at) FROM (SELECT ${state.nextAt} AS at UNION ALL
    SELECT MIN(due_at) FROM presigner_found WHERE walk = ${walk} AND kind IN ${among(dueKinds(state))}))`

function readState(value: unknown): WalkState {
  const state: WalkState = JSON.parse(String(value))
  if (state.version === 1) return state
  throw new Error(`This Worker can't read walks of version ${state.version}.`)
}

/** Collects keys that are to be looked at again after `dueAt`. One that has failed already waits for its turn. */
export const collect = (walk: string, keys: readonly string[], dueAt: number): Sql =>
  sql`INSERT OR IGNORE INTO presigner_found SELECT ${walk}, value, 'collected', ${dueAt}, 0 FROM json_each(${JSON.stringify(keys)})`

/** Lets a key that has failed be tried again. */
export const tryAgain = (walk: string, { key, kind, tries }: FoundKey, dueAt: number): Sql =>
  sql`INSERT OR REPLACE INTO presigner_found VALUES (${walk}, ${key}, ${kind}, ${dueAt}, ${tries})`

/** Forgets what a pass has collected. */
export const forgetCollected = (walk: string): Sql =>
  sql`DELETE FROM presigner_found WHERE walk = ${walk} AND kind = 'collected'`

export const forgetFound = (walk: string, keys: readonly string[]): Sql =>
  sql`DELETE FROM presigner_found WHERE walk = ${walk} AND key IN ${among(keys)}`

/**
 * Remembers which objects after `after`, up to `until`, have no owner: others are forgotten. Another object
 * under the same key begins anew, and so does a later upload (its `time`, in milliseconds) of the same bytes.
 */
export function rememberOwnerless(
  walk: string,
  after: string | null,
  until: string | null,
  objects: readonly (Omit<Ownerless, 'since'> & { readonly time: number })[],
  now: number,
): readonly Sql[] {
  const rows = JSON.stringify(objects.map(({ key, etag, size, time }) => [key, etag, size, time]))
  return [
    sql`DELETE FROM presigner_ownerless WHERE walk = ${walk} AND key > ${after ?? ''} AND key <= ${until ?? GREATEST}
      AND NOT EXISTS (SELECT 1 FROM json_each(${rows}) WHERE value ->> 0 = presigner_ownerless.key AND value ->> 1 = etag AND value ->> 3 <= since)`,
    sql`INSERT OR IGNORE INTO presigner_ownerless SELECT ${walk}, value ->> 0, value ->> 1, value ->> 2, ${now} FROM json_each(${rows})`,
  ]
}
