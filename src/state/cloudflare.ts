import { DurableObject } from 'cloudflare:workers'
import type { PasswordHash } from '../access/password.ts'
import { Guesses, type GuessVerdict } from './guesses.ts'
import type { Listed, ListPage } from './list.ts'

/** How many guesses were wrong. */
const WRONG = 'wrong passwords'

/**
 * A Durable Object that is one of two things: an item, such as a grant, named by its public id, or the
 * list of what one minter has made, named by `listName`. A list has only ids: each item says itself what
 * is left of it.
 */
export abstract class StateObject<Env = unknown> extends DurableObject<Env> {
  /** Returns the password of the item, or null without one or without an item. */
  protected abstract password(): PasswordHash | null

  /** Checks the hash of a guess from these networks, the smallest first. `now` is in milliseconds. */
  async guess(networks: readonly string[], hash: string, now: number): Promise<GuessVerdict> {
    const kept = this.password()
    if (kept === null) return { isRight: false, waitSeconds: 0 }
    const { kv, sql } = this.ctx.storage
    const verdict = new Guesses(sql).check(kept.hash, hash, networks, now)
    if (!verdict.isRight && verdict.waitSeconds === 0) kv.put(WRONG, this.wrongPasswords() + 1)
    return verdict
  }

  /** Returns how many guesses of the password were wrong. */
  protected wrongPasswords(): number {
    return this.ctx.storage.kv.get<number>(WRONG) ?? 0
  }

  /**
   * Adds an item that ends at `ends`, in milliseconds since 1970, or moves its end to a later time.
   * An earlier one may be of an older change: a row without its item is harmless, but not the
   * reverse.
   */
  async list(item: Listed, ends: number): Promise<void> {
    this.#createList()
    this.ctx.storage.sql.exec(
      'INSERT INTO listed (id, at, ends) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET ends = MAX(ends, excluded.ends)',
      ...[item.id, item.at, ends],
    )
    await this.#setListAlarm()
  }

  /** Removes items. */
  async unlist(ids: readonly string[]): Promise<void> {
    if (!this.isList()) return
    for (const id of ids) this.ctx.storage.sql.exec('DELETE FROM listed WHERE id = ?', id)
  }

  /** Returns items, the newest first, from `start` on. */
  async listed(limit: number, start: Listed | null): Promise<ListPage> {
    if (!this.isList()) return { items: [], next: null }
    const { id, at } = start ?? { id: '', at: Number.MAX_SAFE_INTEGER }
    const rows = this.ctx.storage.sql
      .exec<{ id: string; at: number }>(
        'SELECT id, at FROM listed WHERE (at, id) <= (?, ?) ORDER BY at DESC, id DESC LIMIT ?',
        ...[at, id, limit + 1],
      )
      .toArray()
    return { items: rows.slice(0, limit), next: rows[limit] ?? null }
  }

  /** Removes what has ended. */
  override async alarm(): Promise<void> {
    if (this.isList()) await this.endListed(Date.now())
  }

  /** Whether this object is the list of a minter. */
  protected isList(): boolean {
    const { sql } = this.ctx.storage
    return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'listed'").toArray().length > 0
  }

  /** Removes what has ended from a list. For the alarm. */
  protected async endListed(now: number): Promise<void> {
    this.ctx.storage.sql.exec('DELETE FROM listed WHERE ends <= ?', now)
    await this.#setListAlarm()
  }

  #createList(): void {
    const { sql } = this.ctx.storage
    sql.exec(
      'CREATE TABLE IF NOT EXISTS listed (id TEXT PRIMARY KEY, at INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT',
    )
    sql.exec('CREATE INDEX IF NOT EXISTS listed_at ON listed (at, id)')
    sql.exec('CREATE INDEX IF NOT EXISTS listed_ends ON listed (ends)')
  }

  async #setListAlarm(): Promise<void> {
    const [first] = this.ctx.storage.sql
      .exec<{ ends: number | null }>('SELECT MIN(ends) AS ends FROM listed')
      .toArray()
    if (first?.ends) await this.ctx.storage.setAlarm(first.ends)
    else await this.ctx.storage.deleteAll()
  }
}
