import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { openDatabase, STEPS } from '../../../src/plugins/files/d1-schema.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { testDatabase as db } from '../../support/d1.ts'
import { olderIndex } from './older-index.ts'
import { testRecord } from './records.ts'

const VERSION = 'SELECT step, todo FROM presigner_schema ORDER BY step'
const COMPLETE = [1, 2, 3, 4].map((step) => ({ step, todo: 0 }))
const ALL = { bucket: 'files', prefix: '', limit: 9 }
const RECORD = testRecord('team-a/uploads/a.txt')
const rows = async (sql: string) => (await db.prepare(sql).all()).results
const count = async (sql: string) => Number((await rows(`SELECT count(*) AS n FROM ${sql}`))[0]?.n)
/** A question that needs every table. */
const question = () => db.prepare('SELECT count(*) AS n FROM presigner_words, presigner_totals')

/** Inserts rows as a Worker does that knows only the first step. */
const insertOld = (number: number) =>
  db
    .prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO presigner_files (bucket, key, name, size, mimetype, etag, owner, created_at, folded, tokens, folders)
       SELECT 'files', 'old/' || i, 'Old ' || i, 2, 'text/plain', '"e"', NULL, '2026-11-24T12:00:00.000Z', 'old ' || i, 'fx', '[0,4]' FROM n`,
    )
    .bind(number)
    .run()

/** The database, but `before` each batch something happens. */
const intercepted = (before: (call: number) => unknown): D1Database => {
  let call = 0
  return {
    prepare: (sql: string) => db.prepare(sql),
    batch: async (statements: D1PreparedStatement[]) => {
      await before(call++)
      return db.batch(statements)
    },
  } as unknown as D1Database
}

/** Checks that the words and totals are those of the rows. */
async function expectExact(): Promise<void> {
  // With 1, it also compares the words with the rows.
  await db
    .prepare(`INSERT INTO presigner_words (presigner_words, rank) VALUES ('integrity-check', 1)`)
    .run()
  expect(await count(`presigner_words WHERE presigner_words MATCH 'old'`)).toBe(
    await count(`presigner_files WHERE folded LIKE 'old%'`),
  )
  const exact = await rows(
    'SELECT bucket, count(*) AS count, sum(size) AS bytes FROM presigner_files',
  )
  for (const table of [
    `presigner_folders WHERE folder = ''`,
    `presigner_totals WHERE folder = '' AND kind = 'type' GROUP BY bucket`,
    `presigner_totals WHERE folder = '' AND kind = 'owner' GROUP BY bucket`,
    `presigner_totals WHERE folder = '' AND kind = 'day' GROUP BY bucket`,
  ])
    expect(
      await rows(`SELECT bucket, sum(count) AS count, sum(bytes) AS bytes FROM ${table}`),
      table,
    ).toEqual(exact)
}

afterEach(reset)

describe('a new database', () => {
  // @threat migration-broken
  it.each([0, 1, 2, 3, 4, 5])(
    'is migrated when call %i of the first Worker fails',
    async (failing) => {
      const first = d1FileIndex(
        intercepted((call) => {
          if (call === failing) throw new Error('D1_ERROR: Network connection lost.')
        }),
      )
      await expect(first.put(RECORD)).rejects.toMatchObject({ code: 'index_unavailable' })
      expect(await first.put(RECORD)).toEqual(RECORD)
      expect(await d1FileIndex(db).get('files', RECORD.key)).toEqual(RECORD)
      await openDatabase(db).run([question()], true)
      expect(await rows(VERSION)).toEqual(COMPLETE)
      await expectExact()
    },
  )

  // @threat migration-broken
  it('is migrated once by isolates that start together', async () => {
    const records = Array.from({ length: 6 }, (_, i) => testRecord(`a/${i}`))
    await Promise.all(records.map((record) => d1FileIndex(db).put(record)))
    expect(await rows(VERSION)).toEqual(COMPLETE)
    expect(await count('presigner_files')).toBe(6)
    await expectExact()
  })

  it('is created again if somebody deletes its tables', async () => {
    const index = d1FileIndex(db)
    await index.put(RECORD)
    await reset()
    expect(await index.get('files', RECORD.key)).toBeNull()
    expect(await index.put(RECORD)).toEqual(RECORD)
  })

  it.each([
    'CREATE TABLE presigner_files (id INTEGER)',
    'CREATE TABLE presigner_schema (version TEXT)',
    'CREATE TABLE presigner_totals (id INTEGER)',
  ])('with a table of somebody else is a clear error: %s', async (sql) => {
    await db.prepare(sql).run()
    const index = d1FileIndex(db)
    for (let i = 0; i < 2; i++)
      await expect(index.put(RECORD)).rejects.toMatchObject({
        code: 'misconfigured',
        message: expect.stringContaining('Use a database of its own.'),
      })
  })
})

describe.each([1, 2])('a database of step %i', (step) => {
  const older = () => olderIndex(db, openDatabase(db, STEPS.slice(0, step)))

  // @threat migration-broken
  it('asks a few times at most if a version is missing, such as by hand', async () => {
    await d1FileIndex(db).put(RECORD)
    await db.prepare('DELETE FROM presigner_schema WHERE step = 2').run()
    let calls = 0
    const index = d1FileIndex(intercepted((call) => (calls = call + 1)))
    await expect(index.answers?.stats({ bucket: 'files', prefix: '' })).rejects.toMatchObject({
      code: 'index_unavailable',
    })
    expect(calls).toBeLessThan(20)
  })

  it('is filled in by chunks while records are written, changed and removed', async () => {
    await older().put(RECORD)
    await insertOld(6000)
    const newer = d1FileIndex(db)
    // Nobody waits who only writes.
    await newer.put(testRecord('new', { name: 'old new' }))
    expect(await rows(VERSION)).toEqual(
      COMPLETE.map((row) => ({ ...row, todo: row.step > step && row.step < 4 ? 6001 : 0 })),
    )
    const { run } = openDatabase(db)
    let answered: number | undefined
    let attempts = 0
    for (; answered === undefined && attempts < 9; attempts++) {
      await older().put(testRecord(`old/older ${attempts}`, { name: 'old' }))
      // Rows that are filled in, and rows that are not yet.
      for (const i of [10 + attempts, 5900 - attempts]) {
        await newer.remove('files', testRecord(`old/${i}`).key)
        await newer.put(
          testRecord(`old/${i + 100}`, { name: 'other', createdAt: '2026-11-25T12:00:00.000Z' }),
        )
      }
      try {
        const [result] = await run([question()], true)
        answered = Number(result?.results[0]?.n)
      } catch (error) {
        expect(error).toMatchObject({ code: 'index_unavailable', retryAfterSeconds: 1 })
      }
    }
    expect(attempts).toBeGreaterThan(1)
    expect(answered).toBeGreaterThan(0)
    expect(await rows(VERSION)).toEqual(COMPLETE)
    await expectExact()
  })

  // @threat migration-broken
  it('counts a row once whose id was that of a row to fill in', async () => {
    await older().put(RECORD)
    const last = testRecord('old/last', { name: 'old' })
    await older().put(last)
    await openDatabase(db).run([])
    await older().remove('files', last.key)
    await older().put(last)
    await openDatabase(db).run([question()], true)
    await expectExact()
  })

  it('is filled in by two isolates at once, and after an interruption', async () => {
    await older().put(RECORD)
    await insertOld(1200)
    const failing = intercepted((call) => {
      if (call === 4) throw new Error('D1_ERROR: Network connection lost.')
    })
    await expect(openDatabase(failing).run([question()], true)).rejects.toMatchObject({
      code: 'index_unavailable',
    })
    await Promise.all([1, 2, 3].map(() => openDatabase(db).run([question()], true)))
    expect(await rows(VERSION)).toEqual(COMPLETE)
    await expectExact()
  })
})

it('serves an older Worker with a newer schema', async () => {
  const newer = openDatabase(db, [
    ...STEPS,
    {
      statements: ['ALTER TABLE presigner_files ADD COLUMN later TEXT', 'CREATE TABLE later (a)'],
      fill: ['SELECT 1'],
    },
  ])
  const older = d1FileIndex(db)
  await older.put(RECORD)
  await newer.run([])
  for (const index of [older, d1FileIndex(db)]) {
    await index.put(RECORD)
    expect(await index.put({ ...RECORD, name: 'b' }, RECORD)).toEqual({ ...RECORD, name: 'b' })
    expect((await index.list({ bucket: 'files', prefix: '', limit: 9 })).records).toHaveLength(1)
    await index.remove('files', RECORD.key)
  }
  expect(await openDatabase(db).run([question()], true)).toHaveLength(1)
  expect(await rows(VERSION)).toHaveLength(5)
  await older.put(RECORD)
  await expectExact()
})

describe('a status, while an older Worker writes the same database,', () => {
  const unconfirmed = { ...RECORD, owner: null, status: 'unconfirmed' } as const
  const older = () => olderIndex(db, openDatabase(db, STEPS.slice(0, 3)))

  it.each([
    ['reads', async (index: FileIndex) => index.get('files', RECORD.key)],
    ['lists', async (index: FileIndex) => (await index.list(ALL)).records[0] ?? null],
    ['searches', async (index: FileIndex) => (await index.answers?.find(ALL))?.records[0] ?? null],
    ['replaces', async (index: FileIndex) => index.put(RECORD)],
    ['counts', async (index: FileIndex) => (await index.strayEntries?.([])) && RECORD],
    [
      'asks when it began, and reads',
      async (index: FileIndex) => (await index.since?.(null)) ?? RECORD,
    ],
  ])('is added by the first newer Worker that %s', async (_, act) => {
    await older().put(RECORD)
    expect(await act(d1FileIndex(db))).toEqual(RECORD)
    expect(await rows(VERSION)).toEqual(COMPLETE)
    await d1FileIndex(db).remove('files', RECORD.key)
  })

  it('is added by a newer Worker that only removes a record', async () => {
    await older().put(RECORD)
    await d1FileIndex(db).remove('files', RECORD.key, RECORD)
    expect(await older().get('files', RECORD.key)).toBeNull()
  })

  // @threat upkeep-expires-confirmed
  it.each([
    ['confirms it', RECORD, undefined],
    ['repeats it', { ...RECORD, owner: null }, undefined],
    ['renames it', { ...RECORD, owner: null, name: 'b' }, unconfirmed],
    ['records a later object', { ...RECORD, createdAt: '2026-11-25T12:00:00.000Z' }, undefined],
  ])('is gone when that one %s', async (_, written, replaces) => {
    const newer = d1FileIndex(db)
    await newer.put(unconfirmed)
    await older().put(written, replaces)
    expect(await newer.get('files', RECORD.key)).toStrictEqual(written)
    await openDatabase(db).run([question()], true)
    await expectExact()
  })

  it('stays when that one keeps it, and when a newer Worker writes it again', async () => {
    const newer = d1FileIndex(db)
    await newer.put(unconfirmed)
    await older().put({ ...RECORD, createdAt: '2026-11-23T12:00:00.000Z' })
    expect(await newer.get('files', RECORD.key)).toStrictEqual(unconfirmed)
    for (const second of ['01', '02', '03']) {
      const later = { ...unconfirmed, createdAt: `2026-11-25T12:00:${second}.000Z` }
      expect(await newer.put(later)).toStrictEqual(later)
    }
  })
})
