import { reset } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { declareFileIndexContract } from '../../../src/testing/file-index-contract.ts'
import { testRecord } from '../../../src/testing/test-record.ts'
import { testDatabase } from '../../support/d1.ts'

const index = d1FileIndex(testDatabase)

afterEach(reset)

describe('the file index in D1', () =>
  declareFileIndexContract({ beforeEach, expect, it }, () => index))

it('releases a lock whose response from D1 is lost', async () => {
  let isLost = false
  const lossy = d1FileIndex(
    new Proxy(testDatabase, {
      get: (db, member) =>
        member === 'batch'
          ? async (statements: D1PreparedStatement[]) => {
              const results = await db.batch(statements)
              if (!isLost) return results
              isLost = false
              throw new Error('D1_ERROR: Network connection lost.')
            }
          : db.prepare.bind(db),
    }),
  )
  await lossy.lock?.('b', ['other'], 300)
  isLost = true
  await expect(lossy.lock?.('b', ['a'], 300)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'index',
  })
  expect([...((await index.lock?.('b', ['a'], 300))?.held.keys() ?? [])]).toEqual(['a'])
})

it('stores a name of any length whole', async () => {
  const long = testRecord('a', { name: `${'é'.repeat(5000)}\u0000.txt` })
  expect(await index.put(long)).toEqual(long)
  expect(await index.get('files', long.key)).toEqual(long)
})

it('lists keys at the end of the characters', async () => {
  const keys = ['a\u{d7ff}b', 'a\u{10ffff}', 'a\u{10ffff}b', '\u{10ffff}', '\u{10ffff}a']
  for (const key of keys) await index.put(testRecord(key))
  const list = async (prefix: string) =>
    (await index.list({ bucket: 'files', prefix, limit: 9 })).records.map(({ key }) => key)
  expect(await list('')).toEqual(keys)
  expect(await list('a')).toEqual(keys.slice(0, 3))
  expect(await list('a\u{d7ff}')).toEqual(keys.slice(0, 1))
  expect(await list('a\u{10ffff}')).toEqual(keys.slice(1, 3))
  expect(await list('\u{10ffff}')).toEqual(keys.slice(3))
})

it('counts a row that is no record as unreadable', async () => {
  const record = testRecord('a')
  await index.put(record)
  await index.put(testRecord('b'))
  await testDatabase.prepare(`UPDATE presigner_files SET created_at = 'now' WHERE key = 'b'`).run()
  expect(await index.list({ bucket: 'files', prefix: '', limit: 9 })).toEqual({
    records: [record],
    cursor: undefined,
    unreadable: 1,
  })
  expect(await index.get('files', testRecord('b').key)).toBeNull()
})

const MALFORMED = [
  `created_at = 'now'`,
  'size = 1.5',
  `size = 'big', name = X'00'`,
  `status = 'new'`,
  'status = 5',
]

it.each(MALFORMED)('replaces a row that is no record, with %s', async (malformed) => {
  const record = testRecord('a')
  await index.put(record)
  await testDatabase.prepare(`UPDATE presigner_files SET ${malformed}`).run()
  expect(await index.get('files', record.key)).toBeNull()
  expect(await index.put(record)).toEqual(record)
  expect(await index.get('files', record.key)).toEqual(record)
})

it.each(MALFORMED)('removes a row that is no record, with %s, and no other one', async (bad) => {
  await index.put(testRecord('a'))
  await index.put(testRecord('b'))
  await testDatabase.prepare(`UPDATE presigner_files SET ${bad} WHERE key = 'a'`).run()
  for (const { key } of ['a', 'b', 'c'].map((name) => testRecord(name))) {
    const record = await index.get('files', key)
    expect(await index.remove('files', key, { over: null })).toBe(record === null)
  }
  const { results } = await testDatabase.prepare('SELECT key FROM presigner_files').all()
  expect(results).toEqual([{ key: 'b' }])
})

it('keeps a record that takes the place of a malformed row meanwhile', async () => {
  await index.put(testRecord('a'))
  await testDatabase.prepare('UPDATE presigner_files SET size = 1.5').run()
  let batches = 0
  const slow = d1FileIndex(
    new Proxy(testDatabase, {
      get: (target, name) =>
        name !== 'batch'
          ? Reflect.get(target, name).bind(target)
          : async (statements: D1PreparedStatement[]) => {
              const results = await target.batch(statements)
              batches += 1
              if (batches === 2) await index.put(testRecord('a'))
              return results
            },
    }),
  )
  expect(await slow.remove('files', testRecord('a').key, { over: null })).toBe(false)
  expect(batches).toBe(3)
  expect(await index.get('files', testRecord('a').key)).toEqual(testRecord('a'))
})

it('counts the rows of other buckets without reading those that are known', async () => {
  const keys = Array.from({ length: 50 }, (_, i) => `a/${i}`)
  for (const key of keys) await index.put(testRecord(key))
  await index.put(testRecord('a', { bucket: 'old' }))
  let read = 0
  const counted = d1FileIndex({
    prepare: (sql: string) => testDatabase.prepare(sql),
    batch: async (statements: D1PreparedStatement[]) => {
      const results = await testDatabase.batch(statements)
      read = results.at(-1)?.meta.rows_read ?? 0
      return results
    },
  } as unknown as D1Database)
  const found = await counted.strayEntries?.(['files'])
  expect(found).toEqual({ aliases: { old: 1 }, unreadable: 0, cursor: undefined })
  expect(read).toBeLessThan(20)
})

it('takes one round trip for an operation', async () => {
  let trips = 0
  const counted = d1FileIndex({
    prepare: (sql: string) => testDatabase.prepare(sql),
    batch: (statements: D1PreparedStatement[]) => {
      trips++
      return testDatabase.batch(statements)
    },
  } as unknown as D1Database)
  const record = testRecord('a')
  const kept = { record, keptAt: record.createdAt, expiresAt: null }
  // The first operation of the first isolate creates the tables.
  await index.put(record)
  const operations = [
    () => counted.get('files', record.key),
    () => counted.put(record),
    () => counted.put(record, { over: record, kept }),
    () => counted.list({ bucket: 'files', prefix: '', limit: 1 }),
    () => counted.remove('files', record.key, { over: record, kept: null }),
    () => counted.remove('files', record.key, { kept }),
    () => counted.kept?.get('files', record.key),
  ]
  for (const operate of operations) await operate()
  expect(trips).toBe(operations.length)
})

it('fails as unavailable with the reason for the log', async () => {
  const broken = d1FileIndex({
    prepare: (sql: string) => testDatabase.prepare(sql),
    batch: () => Promise.reject(new Error('D1_ERROR: Network connection lost.')),
  } as unknown as D1Database)
  await expect(broken.get('files', testRecord('a').key)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'index',
    cause: expect.objectContaining({ message: expect.stringContaining('connection lost') }),
  })
})

it.each([undefined, null, {}, 'db'])('refuses %s as a database', (value) => {
  expect(() => d1FileIndex(value as never)).toThrow(/needs a D1 database/)
})

it('forgets kept records that have expired when it keeps another one', async () => {
  const keep = (name: string, keptAt: string, expiresAt: string | null) =>
    index.kept?.put({ record: testRecord(name), keptAt, expiresAt })
  const [noon, night] = ['2026-11-24T12:00:00.000Z', '2026-11-24T20:00:00.000Z']
  await keep('expired', noon, night)
  await keep('exists', noon, null)
  await keep('new', night, '2026-11-25T12:00:00.000Z')
  const { results } = await testDatabase.prepare('SELECT key FROM presigner_kept').all()
  expect(results).toEqual([{ key: 'exists' }, { key: 'new' }])
})
