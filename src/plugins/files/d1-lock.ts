import { type FileIndex, JOURNAL_SECONDS } from '../../records/file-index.ts'
import type { SqlDatabase } from '../../records/sql.ts'
import { type Database, GREATEST } from './d1-schema.ts'

/** Forgets journals. The database has the only clock. */
const FORGET = `DELETE FROM presigner_locks WHERE until < unixepoch() - ${JOURNAL_SECONDS}`
const FORGET_BELOW = `DELETE FROM presigner_locks
WHERE bucket = ? AND key >= ? AND key < ? AND until < min(?, unixepoch())`

const LOCK = `INSERT INTO presigner_locks AS old (bucket, key, holder, until)
SELECT ?, value, ?, unixepoch() + ? FROM json_each(?) WHERE true
ON CONFLICT (bucket, key) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE old.until <= unixepoch() RETURNING key, journal`

const OTHERS = `SELECT max(until) - unixepoch() AS seconds FROM presigner_locks
WHERE bucket = ? AND holder <> ? AND key IN (SELECT value FROM json_each(?))`

const OWN = 'WHERE bucket = ? AND holder = ? AND key'
const NOTE = `UPDATE presigner_locks SET journal = ? ${OWN} = ? RETURNING key`
const RELEASE = `UPDATE presigner_locks SET until = unixepoch() ${OWN} IN (SELECT value FROM json_each(?))`

/** Returns the operation `forgetLocks` of the index in D1. */
export const d1ForgetLocks =
  ({ run }: Database, db: SqlDatabase): NonNullable<FileIndex['forgetLocks']> =>
  async (bucket, prefix, before) => {
    const seconds = Math.floor(before.getTime() / 1000)
    await run([db.prepare(FORGET_BELOW).bind(bucket, prefix, prefix + GREATEST, seconds)])
  }

/** Returns the operation `lock` of the index in D1. */
export const d1Lock =
  ({ run }: Database, db: SqlDatabase): NonNullable<FileIndex['lock']> =>
  async (bucket, keys, seconds) => {
    const holder = crypto.randomUUID()
    const query = async (sql: string, ...values: unknown[]) =>
      (await run([db.prepare(sql).bind(...values)]))[0]?.results ?? []
    const release = async (released: readonly string[]) =>
      void (await query(RELEASE, bucket, holder, JSON.stringify(released)))
    const all = JSON.stringify(keys)
    const statements = [
      db.prepare(FORGET),
      db.prepare(LOCK).bind(bucket, holder, Math.ceil(seconds), all),
    ]
    const results = await run(statements).catch(async (error: unknown) => {
      // It may have the keys, although D1 gave no answer.
      await release(keys).catch(() => undefined)
      throw error
    })
    const rows = results[1]?.results ?? []
    const held = new Map(
      rows.map(({ key, journal }) => [String(key), journal === null ? null : String(journal)]),
    )
    const [others] = held.size < keys.length ? await query(OTHERS, bucket, holder, all) : []
    return {
      held,
      busySeconds: Math.max(0, Number(others?.seconds ?? 0)),
      note: async (key, journal) => (await query(NOTE, journal, bucket, holder, key)).length > 0,
      release,
    }
  }
