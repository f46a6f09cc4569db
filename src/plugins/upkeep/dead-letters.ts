import type { Json } from '../../keys/encodings.ts'
import type { Listed } from '../../state/list.ts'

/** The name of the object that keeps dead letters. With its space, no alias of a bucket is the same. */
export const DEAD_LETTERS = 'dead letters'

/** How many are kept, their size together in UTF-8 bytes, and how long. */
export const MAX_LETTERS = 10_000
export const MAX_TOTAL_BYTES = 100_000_000
export const KEPT_MILLISECONDS = 30 * 86_400_000

/** A page has at most this much, so that it is well below the limit of a call to an object. */
const MAX_PAGE_BYTES = 2_000_000

/** A message as it arrives, with its body as JSON. */
export interface NewLetter {
  /** Derived from the queue and the body, so that a message that arrives twice has one id. */
  readonly id: string
  /** The queue that gave it up, without `-dead`. */
  readonly queue: string
  readonly body: string
}

/** A message that a queue gave up. Times are milliseconds since 1970. */
export interface DeadLetter extends NewLetter {
  readonly firstAt: number
  readonly lastAt: number
  /** How often it has arrived: once, unless it died again, or its acknowledgement was lost. */
  readonly arrivals: number
  /** How often it was replayed in vain, and why the last time. Cloudflare doesn't say why it died. */
  readonly replays: number
  readonly reason: string | null
}

export interface LetterPage {
  readonly letters: readonly DeadLetter[]
  /** Where the next page starts, or null after the last one. */
  readonly next: Listed | null
}

const COLUMNS = 'id, queue, body, first_at, last_at, arrivals, replays, reason'

interface Row extends Record<string, SqlStorageValue> {
  readonly id: string
  readonly queue: string
  readonly body: string
  readonly first_at: number
  readonly last_at: number
  readonly arrivals: number
  readonly replays: number
  readonly reason: string | null
}

const letterIn = ({ first_at, last_at, ...row }: Row): DeadLetter => ({
  ...row,
  firstAt: first_at,
  lastAt: last_at,
})

/**
 * The dead letters in the storage of a Durable Object, the oldest first. All methods are synchronous:
 * no other request runs between them. `now` is in milliseconds since 1970.
 */
export class DeadLetters {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Counts repeated letters, and adds others if there is room. Returns the ids of all that are kept. */
  add(letters: readonly NewLetter[], now: number): string[] {
    this.#create()
    let { count, bytes } = this.totals()
    return letters.flatMap((letter) => {
      const { id, queue, body } = letter
      const repeated = this.#sql
        .exec(
          'UPDATE dead_letters SET arrivals = arrivals + 1, last_at = ? WHERE id = ? RETURNING id',
          ...[now, id],
        )
        .toArray()
      if (repeated.length > 0) return [id]
      const size = new TextEncoder().encode(body).length
      if (count + 1 > MAX_LETTERS || bytes + size > MAX_TOTAL_BYTES) return []
      count += 1
      bytes += size
      this.#sql.exec(
        'INSERT INTO dead_letters (id, queue, body, bytes, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?)',
        ...[id, queue, body, size, now, now],
      )
      return [id]
    })
  }

  /** Returns letters, the oldest first, from `start` on. */
  page(limit: number, start: Listed | null): LetterPage {
    if (!this.isThere()) return { letters: [], next: null }
    const { id, at } = start ?? { id: '', at: 0 }
    const rows = this.#sql.exec<Row>(
      `SELECT ${COLUMNS} FROM dead_letters WHERE (first_at, id) >= (?, ?) ORDER BY first_at, id LIMIT ?`,
      ...[at, id, limit + 1],
    )
    const letters: DeadLetter[] = []
    let length = 0
    for (const row of rows) {
      length += row.body.length
      const isFull = letters.length === limit || (length > MAX_PAGE_BYTES && letters.length > 0)
      if (isFull) return { letters, next: { id: row.id, at: row.first_at } }
      letters.push(letterIn(row))
    }
    return { letters, next: null }
  }

  /** Returns the letters with these ids that there are. */
  get(ids: readonly string[]): DeadLetter[] {
    if (!this.isThere()) return []
    return ids.flatMap((id) =>
      this.#sql
        .exec<Row>(`SELECT ${COLUMNS} FROM dead_letters WHERE id = ?`, id)
        .toArray()
        .map(letterIn),
    )
  }

  /**
   * Removes a letter that was replayed, as it was read, or keeps it with the reason. One that has
   * arrived again since then stays too: it may be about a later change to the same file.
   */
  settle({ id, arrivals }: Pick<DeadLetter, 'id' | 'arrivals'>, reason: string | null): void {
    if (reason === null)
      this.#sql.exec('DELETE FROM dead_letters WHERE id = ? AND arrivals = ?', id, arrivals)
    else
      this.#sql.exec(
        'UPDATE dead_letters SET replays = replays + 1, reason = ? WHERE id = ?',
        ...[reason, id],
      )
  }

  /** Returns how many there are, and the size of their bodies. */
  totals(): { readonly count: number; readonly bytes: number } {
    if (!this.isThere()) return { count: 0, bytes: 0 }
    return this.#sql
      .exec<{ count: number; bytes: number }>(
        'SELECT COUNT(*) AS count, COALESCE(SUM(bytes), 0) AS bytes FROM dead_letters',
      )
      .one()
  }

  /** Removes those that are too old. Returns when the next one is, or null without one. */
  clean(now: number): number | null {
    this.#sql.exec('DELETE FROM dead_letters WHERE first_at <= ?', now - KEPT_MILLISECONDS)
    return this.nextEnd()
  }

  /** Returns when the oldest one is too old, or null without one. */
  nextEnd(): number | null {
    const { first } = this.#sql
      .exec<{ first: number | null }>('SELECT MIN(first_at) AS first FROM dead_letters')
      .one()
    return first === null ? null : first + KEPT_MILLISECONDS
  }

  /** Whether any letter was ever added. */
  isThere(): boolean {
    const found = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'dead_letters'")
    return found.toArray().length > 0
  }

  #create(): void {
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS dead_letters (
        id TEXT PRIMARY KEY, queue TEXT NOT NULL, body TEXT NOT NULL, bytes INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        arrivals INTEGER NOT NULL DEFAULT 1, replays INTEGER NOT NULL DEFAULT 0, reason TEXT
      ) STRICT`,
    )
    this.#sql.exec('CREATE INDEX IF NOT EXISTS dead_letters_first ON dead_letters (first_at, id)')
  }
}

/** A letter as the API returns it. */
export const letterBody = ({ firstAt, lastAt, body, ...letter }: DeadLetter) => ({
  ...letter,
  body: JSON.parse(body) as Json,
  firstAt: new Date(firstAt).toISOString(),
  lastAt: new Date(lastAt).toISOString(),
})
