import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../../src/keys/object-key.ts'
import { putRecords } from '../../../../src/plugins/files/admin/put-records.ts'
import { d1FileIndex } from '../../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../../src/plugins/files/kv-file-index.ts'
import type { FileIndex } from '../../../../src/records/file-index.ts'
import type { FileRecord } from '../../../../src/records/file-record.ts'
import { testRecord } from '../../../../src/testing/test-record.ts'
import { testDatabase } from '../../../support/d1.ts'
import { placeIn } from '../../../support/place.ts'
import { answer, operations, s3Error, scriptedBucket } from '../../../support/scripted-bucket.ts'
import { testBucket } from '../../../support/test-bucket.ts'

const EARLIER = '2026-11-23T12:00:00.000Z'
const DATE = '2026-11-24T12:00:00.000Z'
const bucket = testBucket()
const object = answer(200, null, {
  'Content-Length': '5',
  'Content-Type': 'text/plain',
  ETag: '"e"',
  'Last-Modified': new Date(DATE).toUTCString(),
})
const OBJECT = { size: 5, mimetype: 'text/plain' }
const record = (changes: Partial<FileRecord> = {}): FileRecord =>
  testRecord('a.txt', { etag: '"e"', createdAt: DATE, ...OBJECT, owner: 'key:ann', ...changes })

const put = (index: FileIndex, records: readonly FileRecord[], overwrites = false) =>
  putRecords(placeIn(bucket, index), records, overwrites, async () => {})

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

it('asks about each record before it stores that, and stores none that is refused', async () => {
  scriptedBucket({ HeadObject: object })
  const index = d1FileIndex(testDatabase)
  const settle = vi.fn(async () => {
    throw new Error('No.')
  })
  await expect(putRecords(placeIn(bucket, index), [record()], false, settle)).rejects.toThrow('No.')
  expect(settle).toHaveBeenCalledExactlyOnceWith(record())
  expect(await index.get(bucket.alias, record().key)).toBe(null)
})

// @threat index-put-old
it.each<readonly [string, FileRecord | null]>([
  ['no record', null],
  ['one without an owner', record({ owner: null })],
  ['one of an earlier object', record({ createdAt: EARLIER })],
])('keeps the name of a rename after the look at the index, which had %s', async (_, before) => {
  scriptedBucket({ HeadObject: object })
  const d1 = d1FileIndex(testDatabase)
  await d1.remove(bucket.alias, record().key)
  if (before !== null) await d1.put(before)
  const renamed = record({ name: 'renamed.txt' })
  const slow: FileIndex = {
    ...d1,
    async get(...asked) {
      const found = await d1.get(...asked)
      await d1.put(renamed)
      return found
    },
  }
  await put(slow, [record()])
  expect(await d1.get(bucket.alias, renamed.key)).toEqual(renamed)
})

const FOUND = record({ status: 'found' })

// @threat confirmed-becomes-found
it.each([
  ['keeps a confirmed record', record(), FOUND, 'kept'],
  ['keeps a record of an older version', record({ owner: null }), FOUND, 'kept'],
  ['replaces a name', FOUND, { ...FOUND, name: 'b' }, 'stored'],
  ['replaces what nobody has confirmed', FOUND, record({ owner: 'key:bob' }), 'stored'],
])('%s, also when it may overwrite', async (_, known, given, outcome) => {
  scriptedBucket({ HeadObject: object })
  for (const index of [d1FileIndex(testDatabase), kvFileIndex(env.FILE_INDEX)]) {
    await index.put(known)
    expect(await put(index, [given], true)).toEqual([{ key: given.key, outcome }])
    expect(await index.get(bucket.alias, given.key)).toStrictEqual(
      outcome === 'kept' ? known : given,
    )
  }
})

// @threat index-put-old
it('keeps a name that somebody has chosen for a file without an owner, and gives it one', async () => {
  scriptedBucket({ HeadObject: object })
  const d1 = d1FileIndex(testDatabase)
  // Upkeep has recorded the object, and somebody has renamed it.
  await d1.put(record({ owner: null, name: 'renamed.txt' }))
  for (const outcome of ['stored', 'kept']) {
    expect(await put(d1, [record()])).toEqual([{ key: record().key, outcome }])
    expect(await d1.get(bucket.alias, record().key)).toEqual(record({ name: 'renamed.txt' }))
  }
  await put(d1, [record()], true)
  expect(await d1.get(bucket.alias, record().key)).toEqual(record())
})

// @threat owner-lost
it('takes the date and the type of an object that was copied in place', async () => {
  scriptedBucket({ HeadObject: object })
  const d1 = d1FileIndex(testDatabase)
  await d1.put(record({ owner: null, status: 'found' }))
  const given = record({ createdAt: EARLIER, mimetype: 'a/b' })
  expect(await put(d1, [given])).toEqual([{ key: given.key, outcome: 'stored' }])
  expect(await d1.get(bucket.alias, given.key)).toEqual(record({ mimetype: 'text/plain' }))
})

// @threat owner-lost
it('keeps the owner whose record it overwrites or removes', async () => {
  scriptedBucket({ HeadObject: object })
  for (const index of [d1FileIndex(testDatabase), kvFileIndex(env.FILE_INDEX)]) {
    const anns = record()
    await index.put(anns)
    await put(index, [record({ owner: 'key:bob' })], true)
    expect((await index.kept?.get(bucket.alias, anns.key))?.record).toEqual(anns)
  }
  const missing = s3Error(404, 'NoSuchKey')
  scriptedBucket({ HeadObject: missing, GetObject: missing })
  for (const index of [d1FileIndex(testDatabase), kvFileIndex(env.FILE_INDEX)]) {
    const bobs = record({ owner: 'key:bob' })
    expect(await put(index, [record()])).toEqual([{ key: bobs.key, outcome: 'gone' }])
    expect(await index.get(bucket.alias, bobs.key)).toBeNull()
    expect((await index.kept?.get(bucket.alias, bobs.key))?.record).toEqual(bobs)
  }
})

// @threat index-put-gone
it('keeps the record of an upload that comes after the look at the bucket', async () => {
  const later = record({ name: 'later.txt' })
  const kv = kvFileIndex(env.FILE_INDEX)
  let looks = 0
  const missing = s3Error(404, 'NoSuchKey')
  scriptedBucket({
    async HeadObject(sent) {
      looks += 1
      if (looks > 1) return object(sent)
      await kv.put(later)
      return missing(sent)
    },
    GetObject: missing,
  })
  await put(kv, [record({ createdAt: EARLIER, etag: '"old"' })])
  expect(await kv.get(bucket.alias, later.key)).toEqual(later)
})

it('sends fewer than 50 requests to the bucket if all objects are gone', async () => {
  const missing = s3Error(404, 'NoSuchKey')
  const sent = scriptedBucket({ HeadObject: missing, GetObject: missing })
  const records = Array.from({ length: 20 }, (_, i) =>
    record({ key: parseObjectKey(`a/${i}.txt`) }),
  )
  const outcomes = await put(d1FileIndex(testDatabase), records)
  expect(outcomes).toEqual(records.map(({ key }) => ({ key, outcome: 'gone' })))
  expect(operations(sent).length).toBeLessThan(50)
})
