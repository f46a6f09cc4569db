import { areEqual } from '../keys/encodings.ts'

/** The SQL storage of a Durable Object. */
type Sql = Pick<SqlStorage, 'exec'>

/** What comes of a guess. One that has to wait is not checked. */
interface Checked {
  readonly isRight: boolean
  readonly waitSeconds: number
}

/** What an object says about a guess of its password, and how many were wrong until now. */
export interface GuessVerdict extends Checked {
  readonly wrong: number
}

/**
 * Wrong guesses without a delay, of a network and of the larger ones around it. A larger one has more
 * people, who must not lock each other out so soon.
 */
const FREE_GUESSES = [3, 30, 300] as const
const MAX_DELAY_SECONDS = 3600
/** A network that has been silent for this long is forgotten. */
const FORGOTTEN_MILLISECONDS = 86_400_000

/**
 * Limits guesses of a password for each network. Nothing slows all of them together: that would lock out
 * the recipient. A network that
 * has to wait is never forgotten. All methods are synchronous: in a Durable Object, no other request runs
 * between them.
 */
export class Guesses {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
    sql.exec(
      'CREATE TABLE IF NOT EXISTS guesses (network TEXT PRIMARY KEY, count INTEGER NOT NULL, until INTEGER NOT NULL) STRICT',
    )
    sql.exec('CREATE INDEX IF NOT EXISTS guesses_until ON guesses (until)')
  }

  /** Checks the hash of a guess from `networks`, the smallest first, and counts it. */
  check(kept: string, guess: string, networks: readonly string[], now: number): Checked {
    const until = Math.max(...networks.map((network) => this.#row(network)?.until ?? 0))
    const waitSeconds = Math.max(0, Math.ceil((until - now) / 1000))
    if (waitSeconds > 0) return { isRight: false, waitSeconds }
    const isRight = areEqual(kept, guess)
    // Larger networks don't forget: others may be guessing there.
    if (isRight) this.#sql.exec('DELETE FROM guesses WHERE network = ?', networks[0] ?? '')
    else this.#count(networks, now)
    return { isRight, waitSeconds: 0 }
  }

  #count(networks: readonly string[], now: number): void {
    this.#sql.exec('DELETE FROM guesses WHERE until < ?', now - FORGOTTEN_MILLISECONDS)
    for (const [i, network] of networks.entries()) {
      const count = (this.#row(network)?.count ?? 0) + 1
      this.#put(network, count, now + 1000 * delayAfter(count - (FREE_GUESSES[i] ?? Infinity)))
    }
  }

  #put(network: string, count: number, until: number): void {
    this.#sql.exec(
      'INSERT INTO guesses VALUES (?, ?, ?) ON CONFLICT (network) DO UPDATE SET count = excluded.count, until = excluded.until',
      network,
      count,
      until,
    )
  }

  #row(network: string): { readonly count: number; readonly until: number } | undefined {
    return this.#sql
      .exec<{ count: number; until: number }>(
        'SELECT count, until FROM guesses WHERE network = ?',
        network,
      )
      .toArray()[0]
  }
}

/** Returns seconds: 0 for those that are free, then 1, 2, 4 … 3600. */
const delayAfter = (counted: number): number =>
  counted <= 0 ? 0 : Math.min(MAX_DELAY_SECONDS, 2 ** (counted - 1))
