import type { Sender } from '../records/file-event.ts'
import { StateObject } from './cloudflare.ts'
import type { Seen } from './list.ts'
import {
  type Amount,
  type Arrived,
  type Ask,
  type Filling,
  graceSeconds,
  isOpen,
  type Limited,
  MAX_URL_SECONDS,
  type Received,
  type ReceivedPage,
  type Renewal,
  type Reserved,
  type Settled,
  sendingSeconds,
  takesRecords,
} from './reservation.ts'

const MINUTE = 60_000
/** How long an upload in parts stays reserved after its start, and after each new part. */
const PARTS_MILLISECONDS = 30 * MINUTE
/** The bucket is asked for new parts only if the reservation ends within this time. */
const RENEWAL_MILLISECONDS = 25 * MINUTE
/** Until a start has told the id of its upload. */
const START_MILLISECONDS = MINUTE
/**
 * The bucket checks a signature when a PUT begins, and its body may arrive at any speed. No server or
 * proxy that we know of keeps one request open for more than a day.
 */
const LONGEST_MILLISECONDS = 86_400_000
/** Until an upload in parts that is completing while it is aborted is in the bucket. */
const COMPLETE_MILLISECONDS = 15 * MINUTE

/** Returns how long after its end a look finds everything that an upload may still do. */
const lateMilliseconds = (parts: number): number =>
  parts === 1 ? COMPLETE_MILLISECONDS : LONGEST_MILLISECONDS

/** Looks that may fail: one an hour, for a month. */
const MAX_TRIES = 720

/** Open reservations of one network. */
const MAX_OPEN = 4
/** Reservations that have ended and are looked at once more, of one network and of an item. */
const MAX_LATE = 100
const MAX_ALL_LATE = 5000

/**
 * What is known of a key. `open` is reserved. `ending` is still reserved: its uploads in parts are
 * being aborted. `late` is free, but something may still arrive. `kept` has been counted. `over` has
 * arrived against the rules, and is deleted.
 */
export type UploadState = 'open' | 'ending' | 'late' | 'kept' | 'over'

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
  /** Looks that failed. */
  readonly tries: number
  readonly network: string
  readonly country: string | null
  /** What the sender wrote, in JSON. */
  readonly sender: string | null
  /** 1 for an upload in parts. */
  readonly parts: number
  /** S3's id of the upload in parts. */
  readonly s3_upload: string | null
  /** Until when a start may still tell that id. */
  readonly starting: number
  /** Parts that the bucket has listed. */
  readonly listed: number
  /** Place in the list of what has arrived, or null before. */
  readonly seq: number | null
  readonly etag: string | null
  readonly name: string | null
  readonly mimetype: string | null
  readonly arrived: number | null
  /** How often its object was replaced. */
  readonly changes: number
  /** The ETag of the last event of the item that was accepted. */
  readonly told: string | null
}

/** Rows that count as reserved, as received, and those whose bytes may be in the bucket uncounted. */
const RESERVED = "state IN ('open', 'ending')"
const RECEIVED = "state = 'kept'"
const LATE = "state IN ('late', 'over')"

/**
 * What an item with limits has reserved and received, in its Durable Object. Every method is synchronous until
 * it sets the alarm, which is the last that it does, so that no other request runs between a check and what
 * follows from it. Only `create` creates tables.
 */
export abstract class Ledger<T extends Limited, Env = unknown> extends StateObject<T, Env> {
  override async create(item: T): Promise<void> {
    const { sql } = this.ctx.storage
    sql.exec(
      `CREATE TABLE uploads (key TEXT PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL,
        ends INTEGER, at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, network TEXT NOT NULL,
        country TEXT, sender TEXT, parts INTEGER NOT NULL, s3_upload TEXT,
        starting INTEGER NOT NULL DEFAULT 0, listed INTEGER NOT NULL DEFAULT 0, seq INTEGER UNIQUE,
        etag TEXT, name TEXT, mimetype TEXT, arrived INTEGER, changes INTEGER NOT NULL DEFAULT 0,
        told TEXT) STRICT`,
    )
    sql.exec('CREATE INDEX uploads_ends ON uploads (ends)')
    sql.exec('CREATE INDEX uploads_state ON uploads (state, network)')
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
   * keeps the parts of all. A key that has arrived is written only once.
   */
  async reserve(ask: Ask, now: number): Promise<Reserved> {
    const item = this.item()
    if (item === null || !isOpen(item, now)) return { ok: false, why: 'closed' }
    const { key, size, inParts, network, country, sender } = ask
    const row = this.upload(key)
    // Its bytes may be in the bucket, and count as sent by its own sender.
    if (row !== undefined && row.network !== network) return { ok: false, why: 'ending' }
    if (row?.state === 'kept') return { ok: false, why: 'arrived' }
    if (row?.state === 'over') return { ok: false, why: 'full' }
    if (row?.state === 'ending' || (row !== undefined && now < row.starting)) return busy(1)
    const refused = this.#refusal(item, ask, row?.state, now)
    if (refused !== null) return refused
    const lasting = inParts
      ? PARTS_MILLISECONDS
      : 1000 * (MAX_URL_SECONDS + sendingSeconds(size)) + MINUTE
    // A repeated start earns no time.
    const ends = row?.state === 'open' && row.ends !== null ? row.ends : now + lasting
    this.ctx.storage.sql.exec(
      `INSERT INTO uploads (key, size, state, ends, at, network, country, sender, parts, starting)
        VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
        size = excluded.size, state = 'open', ends = excluded.ends, tries = 0, starting = excluded.starting,
        listed = 0`,
      ...[key, size, ends, now, network, country, sender && JSON.stringify(sender)],
      ...[Number(inParts), inParts ? now + START_MILLISECONDS : 0],
    )
    await this.wake()
    return { ok: true, earlier: row?.parts === 1 ? { s3UploadId: row.s3_upload } : null }
  }

  /** Notes the id of an upload in parts. Returns false if it must be aborted: its place is gone. */
  began(key: string, s3UploadId: string): boolean {
    if (this.upload(key)?.state !== 'open') return false
    this.#set(key, { s3_upload: s3UploadId, starting: 0 })
    return true
  }

  /**
   * Tells whether an upload in parts may go on, and whether the caller must count its parts, for `renew`.
   * One that has arrived may be completed again, with the same result.
   */
  step(key: string, isLast: boolean, now: number): Renewal {
    const item = this.item()
    // What a sender has begun in time, may be completed after the deadline.
    const isInTime = item !== null && (isLast ? takesRecords(item, now) : isOpen(item, now))
    if (!isInTime) return { ok: false, why: 'closed' }
    const row = this.upload(key)
    if (row?.state === 'kept') return { ok: true, counts: false }
    if (row?.state === 'over') return { ok: false, why: 'full' }
    if (row?.state === 'ending') return { ok: false, why: 'ending' }
    if (row?.state !== 'open') return { ok: false, why: 'gone' }
    return { ok: true, counts: !isLast && (row.ends ?? 0) - now < RENEWAL_MILLISECONDS }
  }

  /**
   * Keeps a reservation for longer if the bucket lists more parts than before. A server that lists none
   * (null) gets one end, by the size.
   */
  renew(key: string, listed: number | null, now: number): void {
    const row = this.upload(key)
    if (row?.state !== 'open') return
    const fixed = row.at + 1000 * graceSeconds(row.size)
    if (listed === null) this.#set(key, { ends: Math.max(row.ends ?? 0, fixed) })
    else if (listed > row.listed) this.#set(key, { ends: now + PARTS_MILLISECONDS, listed })
  }

  /** Begins to free a key: no step may follow. Its uploads in parts must be aborted, and then it is `freed`. */
  async free(key: string, now: number): Promise<{ readonly s3UploadId: string | null } | null> {
    const row = this.item() && this.upload(key)
    if (row?.state !== 'open' && row?.state !== 'ending') return null
    // If the caller fails, the object does the rest.
    this.#set(key, { state: 'ending', ends: now + MINUTE, starting: 0 })
    await this.wake()
    return { s3UploadId: row.s3_upload }
  }

  /**
   * Frees a key whose uploads in parts are aborted. One of them may be completing at this moment, so it is
   * looked at once more.
   */
  freed(key: string, now: number): void {
    if (this.upload(key)?.state === 'ending')
      this.#set(key, { state: 'late', ends: now + lateMilliseconds(1), tries: 0 })
  }

  /** Frees a key for which nothing was signed. */
  async undo(key: string, now: number): Promise<void> {
    const row = this.item() && this.upload(key)
    if (row?.state !== 'open') return
    if (row.parts === 1) await this.free(key, now)
    else this.#forget(key)
  }

  /**
   * Counts an object that the bucket has, with its real size. What is over the limit, or too late, must be
   * deleted, and so must what is replaced more than once: somebody sends other bytes under the same URL.
   */
  async settle({ key, etag, size, name, mimetype, at }: Arrived, now: number): Promise<Settled> {
    const item = this.item()
    if (item === null) return { ok: false, why: 'closed' }
    const row = this.upload(key)
    if (row === undefined || this.isChanged(key, size)) return { ok: false, why: 'unknown' }
    if (row.state === 'over') return { ok: false, why: 'full' }
    if (row.etag !== etag) {
      const [received, open] = [this.#sum(RECEIVED, key), this.#sum(RESERVED, key)]
      const condemn = async (why: 'closed' | 'full' | 'replaced'): Promise<Settled> => {
        await this.#condemn(key, now)
        return { ok: false, why }
      }
      // Never what is counted already: the bucket's clock may be ahead.
      const isLate = at > (item.closedAt ?? item.deadline + 1000 * graceSeconds(size))
      if (isLate) return condemn('closed')
      if (row.changes > 0) return condemn('replaced')
      const files = received.files + open.files + 1
      const bytes = received.bytes + open.bytes + size
      // The size of what a sender puts is signed.
      if (row.etag === null && size !== row.size) return condemn('full')
      if (size > item.maxBytes || files > item.maxFiles || bytes > item.maxTotalBytes)
        return condemn('full')
      this.#set(key, {
        ...{ state: 'kept', etag, size, name, mimetype, arrived: at, tries: 0 },
        changes: row.changes + Number(row.etag !== null),
        seq: row.seq ?? this.#nextPlace(),
        // Its URL may still work, and its record may fail: one more look.
        ends: now + 1000 * MAX_URL_SECONDS + MINUTE,
      })
    }
    await this.wake()
    const { sender, country } = row
    return { ok: true, isNew: row.told !== etag, sender: senderIn(sender), country }
  }

  /** Tells whether the app has changed a received file in place: the size of a sender's is signed. */
  isChanged(key: string, size: number): boolean {
    const row = this.upload(key)
    return row?.state === 'kept' && row.size !== size
  }

  /** The event of the item about this file was accepted. */
  told(key: string, etag: string): void {
    if (this.item() !== null) this.#set(key, { told: etag })
  }

  /** Returns what was received, the newest first, from `start` on. */
  files(limit: number, start: number | null): ReceivedPage {
    if (this.item() === null) return { files: [], next: null }
    const rows = this.ctx.storage.sql
      .exec<Upload>(
        `SELECT * FROM uploads WHERE seq <= ? AND ${RECEIVED} ORDER BY seq DESC LIMIT ?`,
        ...[start ?? Number.MAX_SAFE_INTEGER, limit + 1],
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
   * Closes the item. Uploads in parts are aborted. What else is reserved is still looked at. With `erases`,
   * whatever arrives from now on is deleted, and nothing is left of who has sent something.
   */
  override async end(now: number, erases = false): Promise<void> {
    const item = this.item()
    if (item === null) return
    const { sql } = this.ctx.storage
    // Whatever arrives is later.
    const closedAt = erases ? 1 : (item.closedAt ?? now)
    this.keep({ ...item, closedAt })
    sql.exec(
      "UPDATE uploads SET state = 'ending', ends = ? WHERE state = 'open' AND parts = 1",
      now,
    )
    if (erases) {
      sql.exec('DELETE FROM uploads WHERE ends IS NULL')
      sql.exec('UPDATE uploads SET sender = NULL, country = NULL, name = NULL')
    }
    await this.wake()
  }

  /** Whether nothing is left to do, and nobody may ask any more. */
  isOver(now: number): boolean {
    const next = this.nextAt()
    return next !== null && next <= now && this.due(1, Number.MAX_SAFE_INTEGER).length === 0
  }

  /** When the object has something to do next, or null without a item. */
  nextAt(): number | null {
    const item = this.item()
    if (item === null) return null
    const [first] = this.ctx.storage.sql
      .exec<{ ends: number | null }>('SELECT MIN(ends) AS ends FROM uploads')
      .toArray()
    if (first?.ends) return first.ends
    return this.forgottenAt(item)
  }

  protected override forgottenAt(item: T): number {
    return item.closedAt ?? super.forgottenAt(item)
  }

  /** Sets the alarm, unless it rings earlier anyway. */
  protected async wake(isRinging = false): Promise<void> {
    const next = this.nextAt()
    if (next === null) return
    const set = isRinging ? null : await this.ctx.storage.getAlarm()
    if (set === null || next < set) await this.ctx.storage.setAlarm(next)
  }

  /** Returns uploads that the bucket must be asked about, those that wait longest first. */
  due(limit: number, now: number): Upload[] {
    if (this.item() === null) return []
    return this.ctx.storage.sql
      .exec<Upload>('SELECT * FROM uploads WHERE ends <= ? ORDER BY ends LIMIT ?', now, limit)
      .toArray()
  }

  /** Before a look at a reservation that has ended. Returns the upload, or undefined if it is in use again. */
  looking({ key, state, ends }: Upload): Upload | undefined {
    const row = this.upload(key)
    if (row?.ends !== ends || row.state !== state) return undefined
    if (state === 'open') this.#set(key, { state: 'ending' })
    return this.upload(key)
  }

  /**
   * Notes what a look at the bucket found, unless somebody has changed the upload since: `absent`, `done`
   * for one that is recorded, `again` for one that may still change, `deleted`, or `failed`, after which it
   * looks again.
   */
  looked(
    { key, state, ends, tries, parts }: Upload,
    found: 'absent' | 'done' | 'again' | 'deleted' | 'failed',
    now: number,
  ): void {
    const row = this.upload(key)
    const later = now + lateMilliseconds(parts)
    // It may have been counted before the failure.
    if (found === 'failed' && tries < MAX_TRIES) {
      const wait = Math.min(60, 2 ** tries) * MINUTE
      if (row?.ends) this.#set(key, { ends: now + wait, tries: row.tries + 1 })
    } else if (row?.state !== state || row.ends !== ends) return
    else if (state === 'kept') this.#set(key, { ends: found === 'again' ? later : null, tries: 0 })
    // What was deleted may come back: its URL may still work, or a slow PUT may end.
    else if (found === 'deleted' || (found === 'absent' && state === 'ending'))
      this.#set(key, { state: 'late', ends: later, tries: 0 })
    else this.#forget(key)
  }

  /** Returns what is known of a key. */
  upload(key: string): Upload | undefined {
    return this.ctx.storage.sql
      .exec<Upload>('SELECT * FROM uploads WHERE key = ?', key)
      .toArray()[0]
  }

  #set(key: string, changes: Partial<Upload>): void {
    const names = Object.keys(changes).map((name) => `${name} = ?`)
    this.ctx.storage.sql.exec(
      `UPDATE uploads SET ${names.join()} WHERE key = ?`,
      ...[...Object.values(changes), key],
    )
  }

  #forget(key: string): void {
    this.ctx.storage.sql.exec('DELETE FROM uploads WHERE key = ?', key)
  }

  /** Returns the place in the list of what has arrived. */
  #nextPlace(): number {
    const last = this.ctx.storage.sql.exec<{ seq: number }>(
      'SELECT COALESCE(MAX(seq), 0) AS seq FROM uploads',
    )
    return last.one().seq + 1
  }

  /** The object under `key` must be deleted. */
  #condemn(key: string, now: number): Promise<void> {
    this.#set(key, { state: 'over', etag: null, seq: null, ends: now, tries: 0 })
    return this.wake()
  }

  /** Returns why this upload can't be reserved now, or null. What the key has reserved doesn't count. */
  #refusal(
    { maxFiles, maxBytes, maxTotalBytes }: T,
    { key, size, network }: Ask,
    state: UploadState | undefined,
    now: number,
  ): Reserved | null {
    const received = this.#sum(RECEIVED)
    const fits = ({ files, bytes }: Amount) =>
      received.files + files + 1 <= maxFiles && received.bytes + bytes + size <= maxTotalBytes
    if (size > maxBytes || !fits({ files: 0, bytes: 0 })) return { ok: false, why: 'full' }
    const open = this.#sum(RESERVED, key)
    const own = this.#sum(`${RESERVED} AND network = ?`, key, network)
    const isMuch =
      own.files > 0 &&
      (own.files >= Math.min(MAX_OPEN, Math.ceil(maxFiles / 2)) ||
        own.bytes + size > maxTotalBytes / 2)
    if (isMuch) return busy(Math.ceil((own.ends - now) / 1000))
    // Others may not send what they have reserved.
    if (!fits(open)) return { ok: false, why: 'waiting', seconds: MAX_WAIT }
    if (state !== undefined) return null
    const late = this.#sum(`${LATE} AND network = ?`, '', network).files
    if (late >= MAX_LATE || this.#sum(LATE).files >= MAX_ALL_LATE) return busy(MAX_WAIT)
    return null
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
          WHERE ${condition} AND key <> ?`,
        ...[...values, key],
      )
      .toArray()
    return { files: sum?.files ?? 0, bytes: sum?.bytes ?? 0, ends: sum?.ends ?? 0 }
  }
}

const senderIn = (json: string | null): Sender | null => (json === null ? null : JSON.parse(json))

const MAX_WAIT = 60

/** A sender's own uploads may end at any moment, so a client asks again soon. */
const busy = (seconds: number): Reserved => ({
  ok: false,
  why: 'busy',
  seconds: Math.min(MAX_WAIT, Math.max(1, seconds)),
})
