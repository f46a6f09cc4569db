import { DurableObject } from 'cloudflare:workers'
import type { FileRecord } from '../../records/file-record.ts'
import { newSecretId } from '../../state/secret-id.ts'
import { goOn } from './pass.ts'
import type { WalkState } from './state.ts'
import type { Begun, DroppedName, DroppedPage, DroppedRecord, WalkStatus } from './walk-object.ts'

/** A run that breaks off keeps others away for this long after its last step. */
const LEASE_MILLISECONDS = 120_000
/** How long a dropped record can be restored. */
const KEPT_MILLISECONDS = 30 * 86_400_000

interface Lease {
  readonly token: string
  readonly until: number
}

type Row = { readonly record: string; readonly at: number }

/**
 * Remembers how far the walk through one bucket has come, and the records that it has dropped. Export it
 * from your Worker. Each method decides without waiting for anything, so no other request comes between what it
 * reads and what it writes. `now` is in milliseconds since 1970.
 */
export class Upkeep extends DurableObject {
  /** Returns the walk and a lease, or null while another run has it. */
  async begin(now: number): Promise<Begun | null> {
    const { kv } = this.ctx.storage
    const lease = kv.get<Lease>('lease')
    if (lease !== undefined && now < lease.until) return null
    const state = this.#state()
    const token = newSecretId()
    this.#hold(token, now)
    kv.put('ranAt', now)
    return { state, token }
  }

  /** Stores a step, and prolongs the lease. Returns false, and stores nothing, if another run has it. */
  async save(state: WalkState, token: string, now: number, isDone: boolean): Promise<boolean> {
    const { kv } = this.ctx.storage
    if (kv.get<Lease>('lease')?.token !== token) return false
    this.#hold(token, now)
    kv.put('walk', state)
    if (isDone) kv.put('doneAt', now)
    return true
  }

  /** Returns the state, or null before the first step. */
  async state(): Promise<WalkState | null> {
    return this.#state()
  }

  /** Lets a walk go on after the brake has stopped it. */
  async goOn(): Promise<void> {
    const state = this.#state()
    if (state?.stopped) this.ctx.storage.kv.put('walk', goOn(state))
  }

  /** Ends a lease. */
  async end(token: string): Promise<void> {
    const { kv } = this.ctx.storage
    if (kv.get<Lease>('lease')?.token === token) kv.delete('lease')
  }

  async status(): Promise<WalkStatus> {
    const { kv } = this.ctx.storage
    const state = this.#state()
    const [row] = this.#sql().exec<{ n: number }>('SELECT COUNT(*) AS n FROM dropped').toArray()
    return {
      walk: state && {
        ...{ phase: state.phase, startedAt: state.startedAt, counts: state.counts },
        ...{ suspects: state.suspects.length, stopped: state.stopped, last: state.last },
      },
      dropped: row?.n ?? 0,
      ranAt: kv.get<number>('ranAt') ?? 0,
      doneAt: kv.get<number>('doneAt') ?? 0,
    }
  }

  /** Keeps records that are about to be dropped, for 30 days. */
  async keep(records: readonly FileRecord[], now: number): Promise<void> {
    const sql = this.#sql()
    for (const record of records)
      sql.exec(
        'INSERT OR REPLACE INTO dropped (key, etag, at, record) VALUES (?, ?, ?, ?)',
        ...[record.key, record.etag, now, JSON.stringify(record)],
      )
    await this.#wake()
  }

  /** Returns records below `prefix` that were dropped, in the order of their keys, from `start` on. */
  async dropped(prefix: string, limit: number, start: DroppedName | null): Promise<DroppedPage> {
    const { key, etag } = start ?? { key: prefix, etag: '' }
    const records = this.#sql()
      .exec<Row>(
        'SELECT record, at FROM dropped WHERE (key, etag) >= (?, ?) AND substr(key, 1, ?) = ? ORDER BY key, etag LIMIT ?',
        ...[key, etag, [...prefix].length, prefix, limit + 1],
      )
      .toArray()
      .map(readRow)
    const next = records[limit]?.record
    return {
      items: records.slice(0, limit),
      next: next === undefined ? null : { key: next.key, etag: next.etag },
    }
  }

  /** Returns the dropped records of these keys. */
  async droppedOf(keys: readonly string[]): Promise<DroppedRecord[]> {
    return keys.flatMap((key) =>
      this.#sql()
        .exec<Row>('SELECT record, at FROM dropped WHERE key = ?', key)
        .toArray()
        .map(readRow),
    )
  }

  /** Forgets dropped records, such as those that are in the index again. */
  async forget(names: readonly DroppedName[]): Promise<void> {
    for (const { key, etag } of names)
      this.#sql().exec('DELETE FROM dropped WHERE key = ? AND etag = ?', key, etag)
  }

  /** Forgets dropped records below `prefix` of objects that are older than `before`. Resolves with their number. */
  async forgetBelow(prefix: string, before: number): Promise<number> {
    return this.#sql()
      .exec(
        "DELETE FROM dropped WHERE substr(key, 1, ?) = ? AND unixepoch(record ->> 'createdAt') < ? RETURNING key",
        ...[[...prefix].length, prefix, Math.floor(before / 1000)],
      )
      .toArray().length
  }

  /** Forgets what was kept long enough. */
  override async alarm(): Promise<void> {
    this.#sql().exec('DELETE FROM dropped WHERE at <= ?', Date.now() - KEPT_MILLISECONDS)
    await this.#wake()
  }

  /** Sets the alarm for what ends next. */
  async #wake(): Promise<void> {
    const [row] = this.#sql()
      .exec<{ at: number | null }>('SELECT MIN(at) AS at FROM dropped')
      .toArray()
    if (typeof row?.at === 'number') await this.ctx.storage.setAlarm(row.at + KEPT_MILLISECONDS)
  }

  #hold(token: string, now: number): void {
    const lease: Lease = { token, until: now + LEASE_MILLISECONDS }
    this.ctx.storage.kv.put('lease', lease)
  }

  #state(): WalkState | null {
    const state = this.ctx.storage.kv.get<WalkState>('walk')
    if (state === undefined) return null
    if (state.version === 1) return state
    throw new Error(`This Worker can't read walks of version ${state.version}.`)
  }

  #sql(): SqlStorage {
    const { sql } = this.ctx.storage
    sql.exec(
      'CREATE TABLE IF NOT EXISTS dropped (key TEXT NOT NULL, etag TEXT NOT NULL, at INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (key, etag)) STRICT',
    )
    sql.exec('CREATE INDEX IF NOT EXISTS dropped_at ON dropped (at)')
    return sql
  }
}

/** The table has only what `keep` has written. */
const readRow = ({ record, at }: Row): DroppedRecord => ({ record: JSON.parse(record), at })
