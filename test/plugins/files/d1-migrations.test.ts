import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { openDatabase, STEPS } from '../../../src/plugins/files/d1-schema.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase as db } from '../../support/d1.ts'

const VERSION = 'SELECT step FROM presigner_schema ORDER BY step'
const COMPLETE = [{ step: 1 }]
const RECORD = testRecord('team-a/uploads/a.txt')
const rows = async (sql: string) => (await db.prepare(sql).all()).results
const count = async (sql: string) => Number((await rows(`SELECT count(*) AS n FROM ${sql}`))[0]?.n)
/** A question that needs every table. */
const question = () => db.prepare('SELECT count(*) AS n FROM presigner_words, presigner_totals')

/** What a later version may add, such as a column and what it says of each row. */
const LATER = [
  ...STEPS,
  [
    "ALTER TABLE presigner_files ADD COLUMN later TEXT NOT NULL DEFAULT ''",
    'UPDATE presigner_files SET later = upper(name)',
  ],
]

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
  it.each([0, 1, 2])('is migrated when call %i of the first Worker fails', async (failing) => {
    const first = d1FileIndex(
      intercepted((call) => {
        if (call === failing) throw new Error('D1_ERROR: Network connection lost.')
      }),
    )
    await expect(first.put(RECORD)).rejects.toMatchObject({ code: 'unavailable', reason: 'index' })
    expect(await first.put(RECORD)).toEqual(RECORD)
    expect(await d1FileIndex(db).get('files', RECORD.key)).toEqual(RECORD)
    await openDatabase(db).run([question()])
    expect(await rows(VERSION)).toEqual(COMPLETE)
    await expectExact()
  })

  // @threat migration-broken
  it('is migrated once by isolates that start together', async () => {
    const records = Array.from({ length: 6 }, (_, i) => testRecord(`a/${i}`))
    await Promise.all(records.map((record) => d1FileIndex(db).put(record)))
    expect(await rows(VERSION)).toEqual(COMPLETE)
    expect(await count('presigner_files')).toBe(6)
    await expectExact()
  })

  it('has its version read in the call of the first statement, and never again', async () => {
    await d1FileIndex(db).put(RECORD)
    let calls = 0
    const index = d1FileIndex(intercepted((call) => (calls = call + 1)))
    for (let i = 1; i <= 3; i++) {
      expect(await index.get('files', RECORD.key)).toEqual(RECORD)
      expect(calls).toBe(i)
    }
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

// @threat migration-broken
it('asks a few times at most if a table is missing, such as by hand', async () => {
  await d1FileIndex(db).put(RECORD)
  await db.prepare('DROP TABLE presigner_totals').run()
  let calls = 0
  const index = d1FileIndex(intercepted((call) => (calls = call + 1)))
  const stats = index.answers?.stats({ bucket: 'files', prefix: '', groupBy: 'day' })
  await expect(stats).rejects.toMatchObject({ code: 'unavailable', reason: 'index' })
  expect(calls).toBeLessThan(5)
})

describe('a later step', () => {
  const later = (database: D1Database) => openDatabase(database, LATER)
  const select = () => db.prepare('SELECT later FROM presigner_files')
  const asksForIt = async (database: D1Database) =>
    (await later(database).run([select()]))[0]?.results

  // @threat migration-broken
  it.each([0, 1, 2, 3])(
    'is added with its rows, also when call %i of a Worker fails',
    async (n) => {
      await d1FileIndex(db).put(RECORD)
      const failing = intercepted((call) => {
        if (call === n) throw new Error('D1_ERROR: Network connection lost.')
      })
      await expect(asksForIt(failing)).rejects.toMatchObject({
        code: 'unavailable',
        reason: 'index',
      })
      expect(await asksForIt(db)).toEqual([{ later: RECORD.name.toUpperCase() }])
      expect(await rows(VERSION)).toEqual([{ step: 1 }, { step: 2 }])
      await expectExact()
    },
  )

  // @threat migration-broken
  it('is added once by isolates that start together, and by one that only writes', async () => {
    await d1FileIndex(db).put(RECORD)
    const all = await Promise.all([1, 2, 3].map(() => asksForIt(db)))
    expect(all).toEqual(Array(3).fill([{ later: RECORD.name.toUpperCase() }]))
    await reset()
    await d1FileIndex(db).put(RECORD)
    await later(db).run([db.prepare('DELETE FROM presigner_files')])
    expect(await rows(VERSION)).toEqual([{ step: 1 }, { step: 2 }])
  })

  it('does not hinder a Worker that does not know it', async () => {
    const older = d1FileIndex(db)
    await older.put(RECORD)
    await later(db).run([])
    for (const index of [older, d1FileIndex(db)]) {
      await index.put(RECORD)
      expect(await index.put({ ...RECORD, name: 'b' }, { over: RECORD })).toEqual({
        ...RECORD,
        name: 'b',
      })
      expect((await index.list({ bucket: 'files', prefix: '', limit: 9 })).records).toHaveLength(1)
      await index.remove('files', RECORD.key)
    }
    await older.put(RECORD)
    await expectExact()
  })
})
