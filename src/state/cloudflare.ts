import { DurableObject } from 'cloudflare:workers'
import type { Below } from '../http/app-env.ts'
import { Guesses, type GuessVerdict } from './guesses.ts'
import type { Item, Seen } from './item.ts'

const DAY = 86_400_000
/** Where the item is kept, and how many guesses of its password were wrong. */
const ITEM = 'item'
const WRONG = 'wrong passwords'

/** One item in a list. */
export interface Listed {
  /** Its public id. */
  readonly id: string
  /** When it was created, in milliseconds since 1970. */
  readonly at: number
}

export interface ListPage {
  readonly items: readonly Listed[]
  /** Where the next page starts, or null after the last one. */
  readonly next: Listed | null
}

/**
 * A Durable Object that is one of two things: an item, such as a grant, named by its public id, or a list
 * of items: those of a principal, or those of a place. A list has only ids: each item says itself what is left of
 * it. Each method decides without waiting for anything, so no other request comes between what it reads and
 * what it writes. `now` is in milliseconds since 1970.
 */
export abstract class StateObject<T extends Item, Env = unknown> extends DurableObject<Env> {
  async create(item: T): Promise<void> {
    this.keep(item)
    await this.ctx.storage.setAlarm(this.forgottenAt(item))
  }

  /** Returns the item, or null for an unknown one. Writes nothing. */
  async read(): Promise<Seen<T> | null> {
    const item = this.item()
    return item === null ? null : { ...item, wrongPasswords: this.wrongPasswords() }
  }

  /** Ends the item with everything about people in it, if it is below a prefix. Returns whether it is. */
  async erase({ prefixes, before, dryRun }: Omit<Below, 'bucket'>, now: number): Promise<boolean> {
    const item = this.item()
    if (item === null || item.createdAt >= before) return false
    if (!prefixes.some((prefix) => item.key.startsWith(prefix))) return false
    if (!dryRun) await this.end(now, true)
    return true
  }

  /** Ends the item: from now on, it is unknown. */
  async end(_now: number, _erases = false): Promise<void> {
    this.ctx.storage.kv.delete(ITEM)
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  /** Checks the hash of a guess from these networks, the smallest first. */
  async guess(networks: readonly string[], hash: string, now: number): Promise<GuessVerdict> {
    const kept = this.item()?.password ?? null
    if (kept === null) return { isRight: false, waitSeconds: 0, wrong: 0 }
    const { kv, sql } = this.ctx.storage
    const verdict = new Guesses(sql).check(kept.hash, hash, networks, now)
    const wrong = this.wrongPasswords() + Number(!verdict.isRight && verdict.waitSeconds === 0)
    if (wrong > this.wrongPasswords()) kv.put(WRONG, wrong)
    return { ...verdict, wrong }
  }

  /** Returns the item, or null without one. Throws if a later version has stored it. */
  protected item(): T | null {
    const item = this.ctx.storage.kv.get<T>(ITEM)
    if (item === undefined) return null
    if (item.version === 1) return item
    throw new Error(`This Worker can't read what version ${item.version} has stored.`)
  }

  protected keep(item: T): void {
    this.ctx.storage.kv.put(ITEM, item)
  }

  protected forgottenAt(item: T): number {
    return item.deadline + item.keptSeconds * 1000
  }

  /** Returns how many guesses of the password were wrong. */
  protected wrongPasswords(): number {
    return this.ctx.storage.kv.get<number>(WRONG) ?? 0
  }

  /** Forgets what has ended. */
  override async alarm(): Promise<void> {
    const now = Date.now()
    if (this.#isList()) return this.#endListed(now)
    const stored = this.ctx.storage.kv.get<{ version: number }>(ITEM)
    // A later version may be deployed again.
    if (stored !== undefined && stored.version !== 1) return this.ctx.storage.setAlarm(now + DAY)
    await this.ring(now)
  }

  /** What the alarm of an item does. */
  protected async ring(now: number): Promise<void> {
    const item = this.item()
    if (item !== null && now < this.forgottenAt(item))
      await this.ctx.storage.setAlarm(this.forgottenAt(item))
    else await this.ctx.storage.deleteAll()
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
      item.id,
      item.at,
      ends,
    )
    await this.#setListAlarm()
  }

  /** Removes items. */
  async unlist(ids: readonly string[]): Promise<void> {
    if (!this.#isList()) return
    for (const id of ids) this.ctx.storage.sql.exec('DELETE FROM listed WHERE id = ?', id)
  }

  /** Returns items, the newest first, from `start` on. */
  async listed(limit: number, start: Listed | null): Promise<ListPage> {
    if (!this.#isList()) return { items: [], next: null }
    const { id, at } = start ?? { id: '', at: Number.MAX_SAFE_INTEGER }
    const rows = this.ctx.storage.sql
      .exec<{ id: string; at: number }>(
        'SELECT id, at FROM listed WHERE (at, id) <= (?, ?) ORDER BY at DESC, id DESC LIMIT ?',
        at,
        id,
        limit + 1,
      )
      .toArray()
    return { items: rows.slice(0, limit), next: rows[limit] ?? null }
  }

  #isList(): boolean {
    const { sql } = this.ctx.storage
    return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'listed'").toArray().length > 0
  }

  async #endListed(now: number): Promise<void> {
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
