import { areEqual } from '../../keys/encodings.ts'
import { isNewObjectKey } from '../../keys/new-key.ts'
import type { Sender } from '../../records/file-event.ts'
import { StateObject } from '../../state/cloudflare.ts'
import { Guesses } from '../../state/guesses.ts'
import {
  type Amount,
  type Arrived,
  type Ask,
  type BoxState,
  type Entered,
  type Entry,
  isOpen,
  KEPT_SECONDS,
  MAX_URL_SECONDS,
  type Received,
  type ReceivedPage,
  type Reserved,
  SCHEMA,
  type Settled,
  type StoredBox,
} from './box.ts'

const MINUTE = 60_000
/** A PUT that begins just before its URL expires needs a moment until its record. */
const PUT_MILLISECONDS = MAX_URL_SECONDS * 1000 + MINUTE
/** From one step of an upload in parts to the next one. */
const PARTS_MILLISECONDS = 30 * MINUTE
/**
 * The bucket checks a signature when a PUT begins. Its body may be 5 GB, and arrive at any speed, so the
 * object may appear long after the URL has expired. No server or proxy that we know of keeps one request
 * open for more than a day. Completing an upload in parts takes minutes.
 */
const LONGEST_MILLISECONDS = 86_400_000

/** Looks that may fail: one an hour, for a month. */
const MAX_TRIES = 720

/** Open reservations of one sender. */
const MAX_OPEN = 4
/** Uploads in parts of one key, which a repeated `startId` starts. The bucket keeps the parts of all. */
const MAX_STARTS = 10
/** Reservations that have ended and are looked at once more, of one sender and of a box. */
const MAX_LATE = 100
const MAX_ALL_LATE = 5000
/** Senders that a box remembers although they have sent nothing, of one network and in all. */
const MAX_SENDERS_OF_NETWORK = 20
const MAX_SENDERS = 1000

/**
 * What is known of a key. `open` is reserved. `kept` has been counted, and its record is checked once
 * more. `late` is no longer reserved, but something may still arrive. `over` arrived over the limit, and is
 * deleted.
 */
export type HoldState = 'open' | 'kept' | 'late' | 'over'

/** A key, and when to ask the bucket about it, in milliseconds since 1970. */
export type Hold = {
  readonly key: string
  readonly size: number
  readonly state: HoldState
  readonly ends: number
  /** When it was first reserved. */
  readonly at: number
  /** Looks that failed. */
  readonly tries: number
  /** Uploads in parts that have started. */
  readonly starts: number
}

/**
 * What a drop box has reserved and received, in its Durable Object. Every method is synchronous until it
 * sets the alarm, which is the last that it does, so that no other request runs between a check and what
 * follows from it. Only `create` creates tables. `now` is in milliseconds since 1970.
 */
export abstract class Ledger<Env = unknown> extends StateObject<Env> {
  async create(box: StoredBox): Promise<void> {
    const { kv, sql } = this.ctx.storage
    sql.exec(
      `CREATE TABLE holds (key TEXT PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL,
        ends INTEGER NOT NULL, at INTEGER NOT NULL, tries INTEGER NOT NULL, starts INTEGER NOT NULL, undo TEXT,
        network TEXT NOT NULL, session TEXT NOT NULL, country TEXT) STRICT`,
    )
    sql.exec('CREATE INDEX holds_ends ON holds (ends)')
    sql.exec('CREATE INDEX holds_state ON holds (state, network, session)')
    sql.exec(
      `CREATE TABLE received (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
        etag TEXT NOT NULL, size INTEGER NOT NULL, name TEXT NOT NULL, mimetype TEXT NOT NULL,
        at INTEGER NOT NULL, session TEXT NOT NULL, country TEXT, told INTEGER NOT NULL, lost INTEGER NOT NULL) STRICT`,
    )
    sql.exec(
      `CREATE TABLE senders (session TEXT PRIMARY KEY, network TEXT NOT NULL, name TEXT NOT NULL,
        note TEXT NOT NULL, at INTEGER NOT NULL, used INTEGER NOT NULL) STRICT`,
    )
    sql.exec('CREATE INDEX senders_unused ON senders (used, network, at)')
    kv.put('received', { files: 0, bytes: 0 })
    kv.put('box', box)
    await this.wake()
  }

  /** Returns the box, or null if this object has none. */
  box(): StoredBox | null {
    const box = this.ctx.storage.kv.get<StoredBox>('box')
    return box?.schema === SCHEMA ? box : null
  }

  state(): BoxState | null {
    const box = this.box()
    if (box === null) return null
    const received = this.#received()
    const open = this.#open('')
    const files = Math.max(0, box.maxFiles - received.files - open.files)
    const bytes = Math.max(0, box.maxTotalBytes - received.bytes - open.bytes)
    return { box, received, left: { files, bytes } }
  }

  /** Lets a sender in. The first wrong passwords of a network are free, then it has to wait. */
  enter({ guess, network, session, sender }: Entry, now: number): Entered {
    const box = this.box()
    if (box === null || !isOpen(box, now)) return { ok: false, why: 'closed' }
    if (box.password !== null) {
      const guesses = new Guesses(this.ctx.storage.kv)
      const seconds = guesses.secondsLeft(network, now)
      if (seconds > 0) return { ok: false, why: 'busy', seconds }
      const isRight = guess !== null && areEqual(guess, box.password.hash)
      guesses.count(network, isRight, now)
      if (!isRight) return { ok: false, why: 'wrong' }
    }
    if (sender !== null) this.#remember(session, network, sender, now)
    return { ok: true }
  }

  /** Reserves a key, for longer if it is already reserved, and again if its reservation has ended. */
  async reserve(ask: Ask, now: number): Promise<Reserved> {
    const box = this.box()
    if (box === null || !isOpen(box, now)) return { ok: false, why: 'closed' }
    const hold = this.hold(ask.key)
    if (hold?.state === 'over') return { ok: false, why: 'full' }
    if (ask.isStart && hold !== undefined && hold.starts >= MAX_STARTS) return busy(MAX_WAIT)
    const ends = now + (ask.inParts ? PARTS_MILLISECONDS : PUT_MILLISECONDS)
    const known = this.#receivedFile(ask.key)
    if (known !== undefined) {
      const bytes = this.#received().bytes - known.size + this.#open(ask.key).bytes + ask.size
      if (bytes > box.maxTotalBytes) return { ok: false, why: 'full' }
      // It is counted. Whatever replaces it is, too.
      await this.#put(ask, 'kept', ends, now, null)
      return { ok: true, undo: null }
    }
    const isOpenHold = hold?.state === 'open'
    const size = isOpenHold ? Math.max(hold.size, ask.size) : ask.size
    const refused = this.#refusal(box, { ...ask, size }, hold?.state, now)
    if (refused !== null) return refused
    const undo = hold === undefined ? crypto.randomUUID() : null
    const later = isOpenHold ? Math.max(hold.ends, ends) : ends
    await this.#put({ ...ask, size }, 'open', later, now, undo)
    return { ok: true, undo }
  }

  /** Frees the reservation that `undo` names. */
  undo(key: string, undo: string): void {
    if (this.box() === null) return
    this.ctx.storage.sql.exec(
      "DELETE FROM holds WHERE key = ? AND undo = ? AND state = 'open'",
      ...[key, undo],
    )
  }

  /** Frees a reservation. Its upload may be completing at this moment, so it is looked at once more. */
  abort(key: string, now: number): void {
    if (this.box() === null) return
    this.ctx.storage.sql.exec(
      "UPDATE holds SET state = 'late', ends = ? WHERE key = ? AND state = 'open'",
      ...[now + LONGEST_MILLISECONDS, key],
    )
  }

  /**
   * Counts an object that the bucket has, once for each key and ETag, with its real size. What is over the
   * limit must be deleted.
   */
  async settle({ key, etag, size, name, mimetype, at }: Arrived, now: number): Promise<Settled> {
    const { kv, sql } = this.ctx.storage
    const box = this.box()
    if (box === null) return { ok: false, why: 'closed' }
    const hold = this.hold(key)
    const known = this.#receivedFile(key)
    if ((hold === undefined && known === undefined) || this.isChanged(key, size))
      return { ok: false, why: 'unknown' }
    if (hold?.state === 'over') return { ok: false, why: 'full' }
    if (known?.etag !== etag) {
      // Never what is counted already: the bucket's clock may be ahead.
      if (box.closedAt !== null && at > box.closedAt) {
        await this.#condemn(key, size, now)
        return { ok: false, why: 'closed' }
      }
      const received = this.#received()
      const open = this.#open(key)
      const files = received.files + (known === undefined ? 1 : 0)
      const bytes = received.bytes - (known?.size ?? 0) + size
      if (
        size > box.maxBytes ||
        files + open.files > box.maxFiles ||
        bytes + open.bytes > box.maxTotalBytes
      ) {
        if (known !== undefined) {
          sql.exec('DELETE FROM received WHERE key = ?', key)
          kv.put('received', { files: received.files - 1, bytes: received.bytes - known.size })
        }
        await this.#condemn(key, size, now)
        return { ok: false, why: 'full' }
      }
      kv.put('received', { files, bytes })
      const [session, country] = [hold?.session ?? known?.session ?? '', hold?.country ?? null]
      sql.exec(
        `INSERT INTO received (key, etag, size, name, mimetype, at, session, country, told, lost)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (key) DO UPDATE SET etag = excluded.etag,
          size = excluded.size, name = excluded.name, mimetype = excluded.mimetype, at = excluded.at,
          told = 0, lost = 0`,
        ...[key, etag, size, name, mimetype, at, session, country],
      )
      sql.exec('UPDATE senders SET used = 1 WHERE session = ?', session)
      // Its URL may still work, and its record may fail: a last look.
      if (hold !== undefined)
        sql.exec(
          "UPDATE holds SET state = 'kept', size = ?, undo = NULL, ends = MIN(ends, ?) WHERE key = ?",
          ...[size, now + PUT_MILLISECONDS, key],
        )
    }
    const row = this.#receivedFile(key)
    const sender = row === undefined ? null : this.#sender(row.session)
    await this.wake()
    return {
      ok: true,
      isNew: row?.told === 0,
      isLost: row?.lost === 1,
      sender,
      country: row?.country ?? null,
    }
  }

  /**
   * Tells whether the app has changed a received file in place. What a sender puts under a generated
   * key has the size of the file, which is signed.
   */
  isChanged(key: string, size: number): boolean {
    const known = this.#receivedFile(key)
    return known !== undefined && known.size !== size && isNewObjectKey(key)
  }

  /** The event of the box about this file was accepted. */
  told(key: string, etag: string): void {
    if (this.box() === null) return
    this.ctx.storage.sql.exec('UPDATE received SET told = 1 WHERE key = ? AND etag = ?', key, etag)
  }

  /** Notes whether the event of a record must be sent again. */
  lost(key: string, etag: string, isLost: boolean): void {
    if (this.box() === null) return
    this.ctx.storage.sql.exec(
      'UPDATE received SET lost = ? WHERE key = ? AND etag = ?',
      ...[Number(isLost), key, etag],
    )
  }

  /** Returns what was received, the newest first, from `start` on. */
  files(limit: number, start: number | null): ReceivedPage {
    if (this.box() === null) return { files: [], next: null }
    const rows = this.ctx.storage.sql
      .exec<ReceivedRow>(
        'SELECT * FROM received WHERE seq <= ? ORDER BY seq DESC LIMIT ?',
        ...[start ?? Number.MAX_SAFE_INTEGER, limit + 1],
      )
      .toArray()
    const files = rows.slice(0, limit).map((row): Received => {
      const { key, etag, size, name, mimetype, at, session, country } = row
      return { key, etag, size, name, mimetype, at, country, sender: this.#sender(session) }
    })
    return { files, next: rows[limit]?.seq ?? null }
  }

  /** Ends the box. What is reserved is still looked at. */
  async close(now: number): Promise<void> {
    const box = this.box()
    if (box?.closedAt === null) this.ctx.storage.kv.put('box', { ...box, closedAt: now })
    await this.wake()
  }

  /** Whether nothing is left to do, and nobody may ask any more. */
  isOver(now: number): boolean {
    const next = this.nextAt()
    return next !== null && next <= now && this.due(1, Number.MAX_SAFE_INTEGER).length === 0
  }

  /** When the object has something to do next, or null without a box. */
  nextAt(): number | null {
    const box = this.box()
    if (box === null) return null
    const [first] = this.ctx.storage.sql
      .exec<{ ends: number | null }>('SELECT MIN(ends) AS ends FROM holds')
      .toArray()
    if (first?.ends) return first.ends
    return box.closedAt ?? box.deadline + KEPT_SECONDS * 1000
  }

  /** Sets the alarm, unless it rings earlier anyway. */
  protected async wake(isRinging = false): Promise<void> {
    const next = this.nextAt()
    if (next === null) return
    const set = isRinging ? null : await this.ctx.storage.getAlarm()
    if (set === null || next < set) await this.ctx.storage.setAlarm(next)
  }

  /** Returns keys that the bucket must be asked about, those that wait longest first. */
  due(limit: number, now: number): Hold[] {
    if (this.box() === null) return []
    return this.ctx.storage.sql
      .exec<Hold>('SELECT * FROM holds WHERE ends <= ? ORDER BY ends LIMIT ?', now, limit)
      .toArray()
  }

  /**
   * Notes what a look at the bucket found, unless somebody has changed the hold since: `absent`, `done`
   * for one that is recorded, `deleted`, or `failed`, after which it looks again.
   */
  looked(hold: Hold, found: 'absent' | 'done' | 'deleted' | 'failed', now: number): void {
    const { key, state, ends, tries } = hold
    const where = [key, state, ends]
    const [onlyThis, again] = [
      'WHERE key = ? AND state = ? AND ends = ?',
      now + Math.min(60, 2 ** tries) * MINUTE,
    ]
    const { sql } = this.ctx.storage
    // It may have been counted before the failure.
    if (found === 'failed' && tries < MAX_TRIES)
      sql.exec(
        'UPDATE holds SET ends = ?, tries = tries + 1 WHERE key = ? AND ends = ?',
        ...[again, key, ends],
      )
    // What was deleted may come back: its URL may still work, or a slow PUT may end.
    else if (found === 'deleted' || (found === 'absent' && state === 'open'))
      sql.exec(
        `UPDATE holds SET state = 'late', ends = ?, tries = 0 ${onlyThis}`,
        ...[now + LONGEST_MILLISECONDS, ...where],
      )
    else sql.exec(`DELETE FROM holds ${onlyThis}`, ...where)
  }

  /** The object under `key` must be deleted. */
  #condemn(key: string, size: number, now: number): Promise<void> {
    this.ctx.storage.sql.exec(
      `INSERT INTO holds (key, size, state, ends, at, tries, starts, undo, network, session, country)
        VALUES (?, ?, 'over', ?, ?, 0, 0, NULL, '', '', NULL) ON CONFLICT (key) DO UPDATE SET
        state = 'over', ends = excluded.ends, tries = 0, undo = NULL`,
      ...[key, size, now, now],
    )
    return this.wake()
  }

  /** Returns why this upload can't be reserved now, or null. What the key has reserved doesn't count. */
  #refusal(
    { maxFiles, maxBytes, maxTotalBytes }: StoredBox,
    { key, size, network }: Ask,
    state: HoldState | undefined,
    now: number,
  ): Reserved | null {
    const received = this.#received()
    const open = this.#open(key)
    const own = this.#open(key, network)
    if (
      size > maxBytes ||
      received.files + open.files + 1 > maxFiles ||
      received.bytes + open.bytes + size > maxTotalBytes
    )
      return { ok: false, why: 'full' }
    const isMuch =
      own.files >= Math.min(MAX_OPEN, Math.ceil(maxFiles / 2)) ||
      (own.files > 0 && own.bytes + size > maxTotalBytes / 2)
    if (isMuch) return busy(Math.ceil((own.ends - now) / 1000))
    if (state !== undefined) return null
    const late = this.#count("state = 'late' AND network = ?", network)
    if (late >= MAX_LATE || this.#count("state = 'late'") >= MAX_ALL_LATE) return busy(MAX_WAIT)
    return null
  }

  /** Returns what is reserved, without `key`, by one network or all, and when the first one ends. */
  #open(key: string, network?: string): Amount & { readonly ends: number } {
    const [sum] = this.ctx.storage.sql
      .exec<{ files: number; bytes: number; ends: number | null }>(
        `SELECT COUNT(*) AS files, COALESCE(SUM(size), 0) AS bytes, MIN(ends) AS ends FROM holds
          WHERE state = 'open' AND key <> ? ${network === undefined ? '' : 'AND network = ?'}`,
        ...(network === undefined ? [key] : [key, network]),
      )
      .toArray()
    return { files: sum?.files ?? 0, bytes: sum?.bytes ?? 0, ends: sum?.ends ?? 0 }
  }

  #count(condition: string, ...values: SqlStorageValue[]): number {
    const [row] = this.ctx.storage.sql
      .exec<{ n: number }>(`SELECT COUNT(*) AS n FROM holds WHERE ${condition}`, ...values)
      .toArray()
    return row?.n ?? 0
  }

  #put(
    { key, size, isStart, network, session, country }: Ask,
    state: HoldState,
    ends: number,
    now: number,
    undo: string | null,
  ): Promise<void> {
    this.ctx.storage.sql.exec(
      `INSERT INTO holds (key, size, state, ends, at, tries, starts, undo, network, session, country)
        VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET size = excluded.size,
        state = excluded.state, ends = excluded.ends, tries = 0, starts = starts + excluded.starts,
        undo = NULL`,
      ...[key, size, state, ends, now, Number(isStart), undo, network, session, country],
    )
    return this.wake()
  }

  #received(): Amount {
    return this.ctx.storage.kv.get<Amount>('received') ?? { files: 0, bytes: 0 }
  }

  /** Returns what is known of a key. */
  hold(key: string): (Hold & { session: string; country: string | null }) | undefined {
    return this.ctx.storage.sql
      .exec<Hold & { session: string; country: string | null }>(
        'SELECT * FROM holds WHERE key = ?',
        key,
      )
      .toArray()[0]
  }

  #receivedFile(key: string): ReceivedRow | undefined {
    return this.ctx.storage.sql
      .exec<ReceivedRow>('SELECT * FROM received WHERE key = ?', key)
      .toArray()[0]
  }

  /** Keeps what a sender wrote. Of those who have sent and reserved nothing, forgets the oldest. */
  #remember(session: string, network: string, { name, note }: Sender, now: number): void {
    const { sql } = this.ctx.storage
    sql.exec(
      `INSERT INTO senders (session, network, name, note, at, used) VALUES (?, ?, ?, ?, ?, 0)
        ON CONFLICT (session) DO UPDATE SET at = excluded.at`,
      ...[session, network, name, note, now],
    )
    const forget = (condition: string, max: number, ...values: SqlStorageValue[]) =>
      sql.exec(
        `DELETE FROM senders WHERE session IN (SELECT session FROM senders WHERE used = 0 ${condition}
          AND NOT EXISTS (SELECT 1 FROM holds WHERE state IN ('open', 'kept', 'late', 'over')
            AND holds.network = senders.network AND holds.session = senders.session)
          ORDER BY at DESC LIMIT -1 OFFSET ?)`,
        ...[...values, max],
      )
    forget('AND network = ?', MAX_SENDERS_OF_NETWORK, network)
    forget('', MAX_SENDERS)
  }

  #sender(session: string): Sender | null {
    const [row] = this.ctx.storage.sql
      .exec<{ name: string; note: string }>(
        'SELECT name, note FROM senders WHERE session = ?',
        session,
      )
      .toArray()
    return row ?? null
  }
}

type ReceivedRow = {
  readonly seq: number
  readonly key: string
  readonly etag: string
  readonly size: number
  readonly name: string
  readonly mimetype: string
  readonly at: number
  readonly session: string
  readonly country: string | null
  readonly told: number
  readonly lost: number
}

const MAX_WAIT = 60

/** A sender's own uploads may end at any moment, so a client asks again soon. */
const busy = (seconds: number): Reserved => ({
  ok: false,
  why: 'busy',
  seconds: Math.min(MAX_WAIT, Math.max(1, seconds)),
})
