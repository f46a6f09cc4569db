import { StateObject } from './cloudflare.ts'
import type { Seen } from './item.ts'
import {
  type Amount,
  type Arrived,
  type Ask,
  type Filling,
  graceSeconds,
  isOpen,
  type Limited,
  type Received,
  type ReceivedPage,
  type Reserved,
  type Settled,
  type Stepped,
  senderIn,
  sendingSeconds,
  takesRecords,
} from './reservation.ts'

const MINUTE = 60_000
const DAY = 86_400_000
/** Bytes that renew a reservation, if they aren't the last ones: one part of a file. */
const RENEWAL_BYTES = 8 * 1024 ** 2
/** Parts that a client sends at the same time. */
const PARTS_AT_ONCE = 4
/** Until a start has told the id of its upload. */
const START_MILLISECONDS = MINUTE
/** Until an object is looked at, to find out whether its record was written. */
const RECORD_MILLISECONDS = 6 * MINUTE
/** How long a network that was refused goes before others. A client asks again each minute. */
const WAITING_MILLISECONDS = 2 * MINUTE
const MAX_WAITING = 1000
/** Rechecks that may fail: one an hour, for a month. */
const MAX_TRIES = 720
/** Open reservations of one network. */
const MAX_OPEN = 4
/** What a network has lost counts in steps of this: a file that somebody cancels soon costs nothing. */
const LOST_MILLISECONDS = 5 * MINUTE
/** During a recheck, which may complete the upload. */
const RECHECKING = { ok: false, why: 'rechecking', seconds: 5 } as const
/** Lost reservations that are remembered, of one network and of an item. */
const MAX_LOST = 100
const MAX_ALL_LOST = 5000
/** How often a sender may record a file again, since each time is an event. */
const MAX_RECORDS = 10

/** Returns how long a reservation lasts after its start, and after each part: the slowest sender's first parts. */
const holdMilliseconds = (size: number): number =>
  5 * MINUTE + 1000 * sendingSeconds(Math.min(size, PARTS_AT_ONCE * RENEWAL_BYTES))

/**
 * What is known of a key. `open` is reserved. `rechecking` is still reserved: its time is over, and it is completed
 * if all parts are there, and otherwise aborted. `ending` is still reserved: somebody gave it up, and its uploads
 * are being aborted. `lost` is free: its uploads are aborted once more after a day, until which it counts against
 * its network. `kept` has arrived.
 */
export type UploadState = 'open' | 'rechecking' | 'ending' | 'lost' | 'kept'

/** One upload of an item. Times are milliseconds since 1970. */
export type Upload = {
  readonly key: string
  /** Bytes. */
  readonly size: number
  readonly state: UploadState
  /** When to ask the bucket about it, or null for never again. */
  readonly ends: number | null
  /** When it was first reserved. */
  readonly at: number
  /** Rechecks that failed. */
  readonly tries: number
  readonly network: string
  readonly around: string
  readonly country: string | null
  /** What the sender wrote, in JSON. */
  readonly sender: string | null
  /** S3's id of the upload in parts. */
  readonly s3_upload: string | null
  /** Until when a start may still tell that id. */
  readonly starting: number
  /** Bytes of the parts that the bucket has listed. */
  readonly listed: number
  /** Place in the list of what has arrived, or null before. */
  readonly seq: number | null
  readonly etag: string | null
  readonly name: string | null
  readonly mimetype: string | null
  readonly arrived: number | null
  /** How often it was recorded again. */
  readonly records: number
  /** 1 after the event of the item was accepted. */
  readonly told: number
}

/** Rows that count as reserved, and as received. */
const RESERVED = "state IN ('open', 'rechecking', 'ending')"
const RECEIVED = "state = 'kept'"

/** How long reservations that `around` has lost have held room, in steps. */
const lostBy = (around: string): string =>
  `(SELECT COALESCE(SUM(ends - ${DAY} - at), 0) / ${LOST_MILLISECONDS} FROM uploads
    WHERE state = 'lost' AND around = ${around})`

/**
 * What an item with limits has reserved and received, in its Durable Object. Its files come only in parts, and
 * only this Worker completes them, so each is written once. Every method is synchronous until it sets the
 * alarm, which is the last that it does, so that no other request runs between a check and what follows from it.
 * Only `create` creates tables.
 */
export abstract class Ledger<T extends Limited, Env = unknown> extends StateObject<T, Env> {
  override async create(item: T): Promise<void> {
    const { sql } = this.ctx.storage
    sql.exec(
      `CREATE TABLE uploads (key TEXT PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL,
        ends INTEGER, at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, network TEXT NOT NULL,
        around TEXT NOT NULL, country TEXT, sender TEXT, s3_upload TEXT, starting INTEGER NOT NULL,
        listed INTEGER NOT NULL DEFAULT 0, seq INTEGER UNIQUE, etag TEXT, name TEXT, mimetype TEXT,
        arrived INTEGER, records INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0) STRICT`,
    )
    sql.exec('CREATE INDEX uploads_ends ON uploads (ends)')
    sql.exec('CREATE INDEX uploads_state ON uploads (state, around)')
    sql.exec('CREATE TABLE waiting (around TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT')
    this.keep(item)
    await this.wake()
  }

  /** Returns the item and what is in it, or null for a closed one. */
  override async read(): Promise<(Seen<T> & Filling) | null> {
    const item = await super.read()
    if (item === null || item.closedAt !== null) return null
    const { ends: _, ...received } = this.#sum(RECEIVED)
    const open = this.#sum(RESERVED)
    const files = Math.max(0, item.maxFiles - received.files - open.files)
    const bytes = Math.max(0, item.maxTotalBytes - received.bytes - open.bytes)
    return { ...item, received, left: { files, bytes } }
  }

  /**
   * Reserves a key. A further start of the same key first has to abort what is `earlier`, since the bucket
   * keeps the parts of all. It has the same size: the earlier upload may be completing.
   */
  async reserve(ask: Ask, now: number): Promise<Reserved> {
    const item = this.item()
    if (item === null || !isOpen(item, now)) return { ok: false, why: 'closed' }
    const { key, size, network, around, country, sender } = ask
    const row = this.upload(key)
    // It counts as sent by its own sender.
    if (row && (row.network !== network || row.size !== size)) return { ok: false, why: 'ending' }
    if (row?.state === 'ending' || row?.state === 'lost') return { ok: false, why: 'ending' }
    if (row?.state === 'kept') return { ok: false, why: 'arrived' }
    if (row?.state === 'rechecking') return RECHECKING
    if (row && now < row.starting) return busy(1)
    const refused = this.#refusal(item, ask, now)
    if (refused !== null) return refused
    // A repeated start earns no time.
    const ends = Math.max(row?.ends ?? 0, (row?.at ?? now) + holdMilliseconds(size))
    const { sql } = this.ctx.storage
    sql.exec(
      `INSERT INTO uploads (key, size, state, ends, at, network, around, country, sender, starting)
        VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
        ends = excluded.ends, starting = excluded.starting`,
      key,
      size,
      ends,
      now,
      network,
      around,
      country,
      sender && JSON.stringify(sender),
      now + START_MILLISECONDS,
    )
    await this.wake()
    return { ok: true, earlier: row === undefined ? null : { s3UploadId: row.s3_upload } }
  }

  /** Notes the id of an upload in parts. Returns false if it must be aborted: its place is gone. */
  began(key: string, s3UploadId: string): boolean {
    if (this.upload(key)?.state !== 'open') return false
    this.#set(key, { s3_upload: s3UploadId, starting: 0 })
    return true
  }

  /** Tells whether an upload may go on. One that has arrived may be completed again, with the same result. */
  step(key: string, isLast: boolean, now: number): Stepped {
    const item = this.item()
    const row = this.upload(key)
    // What a sender has begun in time, may be completed after the deadline.
    const isInTime =
      item !== null && (isLast ? takesRecords(item, now, row?.size) : isOpen(item, now))
    if (!isInTime) return { ok: false, why: 'closed' }
    if (row?.state === 'kept' && isLast) return { ok: true, counts: false }
    if (row?.state === 'rechecking') return RECHECKING
    if (row?.state === 'ending') return { ok: false, why: 'ending' }
    if (row?.state !== 'open') return { ok: false, why: 'gone' }
    return { ok: true, counts: (row.ends ?? 0) - now < holdMilliseconds(row.size) / 2 }
  }

  /**
   * Keeps a reservation for longer if the bucket lists a part more than before, or the last bytes. A server
   * that lists none (null) gets one end, by the size.
   */
  renew(key: string, listed: number | null, now: number): void {
    const row = this.upload(key)
    if (row?.state !== 'open') return
    const fixed = row.at + 1000 * graceSeconds(row.size)
    const isComplete = listed === row.size && row.listed < row.size
    if (listed === null) this.#set(key, { ends: Math.max(row.ends ?? 0, fixed) })
    else if (isComplete || listed - row.listed >= RENEWAL_BYTES)
      this.#set(key, { ends: now + holdMilliseconds(row.size), listed })
  }

  /** After a start that failed: the client may repeat it within a minute. */
  async undo(key: string, now: number): Promise<void> {
    const row = this.upload(key)
    if (row?.state !== 'open') return
    this.#set(key, { starting: 0, ends: Math.min(row.ends ?? 0, now + MINUTE) })
    await this.wake()
  }

  /** Begins to free a key: no step may follow. Its uploads in parts must be aborted, and then it is `freed`. */
  async free(key: string, now: number): Promise<{ readonly s3UploadId: string | null } | null> {
    const row = this.upload(key)
    if (!row || !/^(?:open|rechecking|ending)$/.test(row.state)) return null
    // If the caller fails, the object does the rest.
    this.#set(key, { state: 'ending', ends: now + MINUTE, starting: 0 })
    await this.wake()
    return { s3UploadId: row.s3_upload }
  }

  /** Frees a key whose uploads in parts are aborted. */
  freed(key: string, now: number): void {
    if (this.upload(key)?.state === 'ending') this.#lose(key, now)
  }

  /**
   * Counts an object that the bucket has. What has lost its reservation is deleted if there is no room for it
   * any more.
   */
  async settle({ key, etag, size, name, mimetype, at }: Arrived, now: number): Promise<Settled> {
    const item = this.item()
    const row = this.upload(key)
    if (item === null) return { ok: false, why: 'closed' }
    if (row?.size !== size) return { ok: false, why: 'unknown' }
    if (row.records >= MAX_RECORDS) return { ok: false, why: 'arrived' }
    const isNew = row.state !== 'kept'
    const taken = this.#sum(`${RECEIVED} OR ${RESERVED}`)
    const hasRoom = row.state !== 'lost' || fits(item, row, taken)
    if (item.isErased || !hasRoom) {
      this.#set(key, { ends: now })
      await this.wake()
      return { ok: false, why: item.isErased ? 'closed' : 'full' }
    }
    this.#set(key, { records: row.records + 1, etag })
    if (isNew) {
      const seq = row.seq ?? this.#nextPlace()
      const ends = now + RECORD_MILLISECONDS
      this.#set(key, { state: 'kept', name, mimetype, arrived: at, tries: 0, seq, ends })
    }
    await this.wake()
    return { ok: true, isNew, sender: senderIn(row.sender), country: row.country }
  }

  /** The event of the item about this file was accepted. */
  told(key: string): void {
    if (this.upload(key) !== undefined) this.#set(key, { told: 1 })
  }

  /** Returns what was received, the newest first, from `start` on. */
  files(limit: number, start: number | null): ReceivedPage {
    if (this.item() === null) return { files: [], next: null }
    const rows = this.ctx.storage.sql
      .exec<Upload>(
        `SELECT * FROM uploads WHERE seq <= ? AND ${RECEIVED} ORDER BY seq DESC LIMIT ?`,
        start ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray()
    const files = rows.slice(0, limit).map((row): Received => {
      const { key, etag, size, name, mimetype, arrived, sender, country } = row
      const file = { key, etag: etag ?? '', size, name: name ?? '', mimetype: mimetype ?? '' }
      return { ...file, at: arrived ?? 0, country, sender: senderIn(sender) }
    })
    return { files, next: rows[limit]?.seq ?? null }
  }

  /**
   * Closes the item. Uploads in parts are aborted. With `erases`, whatever arrives from now on is deleted, and
   * nothing is left of who has made it, or has sent something.
   */
  override async end(now: number, erases = false): Promise<void> {
    const item = this.item()
    if (item === null) return
    const { sql } = this.ctx.storage
    const closed = { ...item, closedAt: item.closedAt ?? now }
    this.keep(erases ? { ...this.withoutText(closed), isErased: true } : closed)
    sql.exec(`UPDATE uploads SET state = 'ending', ends = ? WHERE ${RESERVED}`, now)
    if (erases) {
      sql.exec('DELETE FROM uploads WHERE ends IS NULL')
      sql.exec('UPDATE uploads SET sender = NULL, country = NULL, name = NULL')
    }
    await this.wake()
  }

  /** Returns the item without what people have written. */
  protected withoutText(item: T): T {
    return item
  }

  /** Whether nothing is left to do, and nobody may ask any more. */
  isOver(now: number): boolean {
    const item = this.item()
    return item !== null && this.#firstEnd() === null && this.forgottenAt(item) <= now
  }

  /** When the bucket must be asked next, or null for never again. */
  #firstEnd(): number | null {
    return this.ctx.storage.sql
      .exec<{ ends: number | null }>('SELECT MIN(ends) AS ends FROM uploads')
      .one().ends
  }

  protected override forgottenAt(item: T): number {
    return item.closedAt ?? super.forgottenAt(item)
  }

  /** Sets the alarm, unless it rings earlier anyway. */
  protected async wake(isRinging = false): Promise<void> {
    const item = this.item()
    if (item === null) return
    const next = this.#firstEnd() ?? this.forgottenAt(item)
    const set = isRinging ? null : await this.ctx.storage.getAlarm()
    if (set === null || next < set) await this.ctx.storage.setAlarm(next)
  }

  /**
   * Returns uploads that the bucket must be asked about, those that wait longest first. Until the end of the
   * recheck, no step may follow in those that were `open`.
   */
  due(limit: number, now: number): Upload[] {
    if (this.item() === null) return []
    const rows = this.ctx.storage.sql
      .exec<Upload>('SELECT * FROM uploads WHERE ends <= ? ORDER BY ends LIMIT ?', now, limit)
      .toArray()
    for (const { key, state } of rows) if (state === 'open') this.#set(key, { state: 'rechecking' })
    return rows
  }

  /**
   * Notes the end of a recheck, unless somebody has changed the upload since: the bucket and the index have what
   * the ledger says.
   */
  rechecked({ key, ends }: Upload, now: number): void {
    const row = this.upload(key)
    if (row?.ends !== ends) return
    if (row.state === 'kept') this.#set(key, { ends: null })
    else if (row.state !== 'lost') this.#lose(key, now)
    else this.ctx.storage.sql.exec('DELETE FROM uploads WHERE key = ?', key)
  }

  /** After a recheck that failed: there is another one later. It may have been counted before the failure. */
  failed({ key, tries }: Upload, now: number): void {
    const row = this.upload(key)
    if (!row?.ends) return
    const ends = now + Math.min(60, 2 ** tries) * MINUTE
    if (tries < MAX_TRIES) this.#set(key, { ends, tries: row.tries + 1 })
    else this.rechecked(row, now)
  }

  /** Returns what is known of a key. */
  upload(key: string): Upload | undefined {
    if (this.item() === null) return undefined
    return this.ctx.storage.sql
      .exec<Upload>('SELECT * FROM uploads WHERE key = ?', key)
      .toArray()[0]
  }

  #set(key: string, changes: Partial<Upload>): void {
    const names = Object.keys(changes).map((name) => `${name} = ?`)
    this.ctx.storage.sql.exec(
      `UPDATE uploads SET ${names.join()} WHERE key = ?`,
      ...Object.values(changes),
      key,
    )
  }

  /** Frees a key whose uploads are aborted. Beyond the limits, those that held room for the shortest time are forgotten. */
  #lose(key: string, now: number): void {
    this.#set(key, { state: 'lost', ends: now + DAY, tries: 0 })
    const around = this.upload(key)?.around ?? ''
    const forget = (condition: string, max: number, ...values: readonly string[]) =>
      this.ctx.storage.sql.exec(
        `DELETE FROM uploads WHERE key IN (SELECT key FROM uploads WHERE state = 'lost' ${condition}
          ORDER BY ends - at DESC, ends DESC LIMIT -1 OFFSET ?)`,
        ...values,
        max,
      )
    forget('AND around = ?', MAX_LOST, around)
    forget('', MAX_ALL_LOST)
  }

  /** Returns the place in the list of what has arrived. */
  #nextPlace(): number {
    const last = this.ctx.storage.sql.exec<{ seq: number }>(
      'SELECT COALESCE(MAX(seq), 0) AS seq FROM uploads',
    )
    return last.one().seq + 1
  }

  /** Returns why this upload can't be reserved now, or null. What the key has reserved doesn't count. */
  #refusal(item: T, ask: Ask, now: number): Reserved | null {
    const { key, size, network } = ask
    const received = this.#sum(RECEIVED)
    if (size > item.maxBytes || !fits(item, ask, received)) return { ok: false, why: 'full' }
    const own = this.#sum(`${RESERVED} AND network = ?`, key, network)
    const isMuch =
      own.files > 0 &&
      (own.files >= Math.min(MAX_OPEN, Math.ceil(item.maxFiles / 2)) ||
        own.bytes + size > item.maxTotalBytes / 2)
    if (isMuch) return busy(Math.ceil((own.ends - now) / 1000))
    // Others may not send what they have reserved.
    if (fits(item, ask, received, this.#sum(RESERVED, key)) && !this.#mustWait(ask, now))
      return null
    this.#wait(ask, now)
    return { ok: false, why: 'waiting', seconds: MAX_WAIT }
  }

  /** Whether a network waits that has lost less than this one. */
  #mustWait({ around }: Ask, now: number): boolean {
    const found = this.ctx.storage.sql.exec(
      `SELECT 1 FROM waiting WHERE until > ? AND ${lostBy('waiting.around')} < ${lostBy('?')} LIMIT 1`,
      now,
      around,
    )
    return found.toArray().length > 0
  }

  /** Lets a network go before others that have lost more, with all its files: it may still have some. */
  #wait({ around }: Ask, now: number): void {
    const { sql } = this.ctx.storage
    sql.exec('DELETE FROM waiting WHERE until <= ? OR around = ?', now, around)
    sql.exec(
      'INSERT INTO waiting SELECT ?, ? WHERE (SELECT COUNT(*) FROM waiting) < ?',
      around,
      now + WAITING_MILLISECONDS,
      MAX_WAITING,
    )
  }

  /** Returns the files and bytes of rows, without `key`, and when the first of them ends. */
  #sum(
    condition: string,
    key = '',
    ...values: readonly string[]
  ): Amount & { readonly ends: number } {
    const [sum] = this.ctx.storage.sql
      .exec<{ files: number; bytes: number; ends: number | null }>(
        `SELECT COUNT(*) AS files, COALESCE(SUM(size), 0) AS bytes, MIN(ends) AS ends FROM uploads
          WHERE (${condition}) AND key <> ?`,
        ...values,
        key,
      )
      .toArray()
    return { files: sum?.files ?? 0, bytes: sum?.bytes ?? 0, ends: sum?.ends ?? 0 }
  }
}

/** Tells whether a file fits next to these. */
const fits = (item: Limited, { size }: { readonly size: number }, ...taken: Amount[]): boolean =>
  taken.reduce((sum, { files }) => sum + files, 1) <= item.maxFiles &&
  taken.reduce((sum, { bytes }) => sum + bytes, size) <= item.maxTotalBytes

const MAX_WAIT = 60

/** A sender's own uploads may end at any moment, so a client asks again soon. */
const busy = (seconds: number): Reserved => ({
  ok: false,
  why: 'busy',
  seconds: Math.min(MAX_WAIT, Math.max(1, seconds)),
})
