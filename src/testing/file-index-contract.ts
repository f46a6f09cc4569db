import { ApiError } from '../errors/api-error.ts'
import { newObjectKey } from '../keys/new-key.ts'
import { parseObjectKey } from '../keys/object-key.ts'
import { type FileIndex, getMany, type KeptRecord, type ListInput } from '../records/file-index.ts'
import type { FileRecord } from '../records/file-record.ts'
import { declareLockContract } from './lock-contract.ts'
import { testRecord } from './test-record.ts'
import type { TestRunner } from './test-runner.ts'

const EMPTY = { records: [], cursor: undefined, unreadable: 0 }
const START = Date.UTC(2026, 10, 24)

/** The newest of these records is the first in the order of their keys. */
const recordAt = (second: number, prefix = 'team-a/'): FileRecord => {
  const now = new Date(START + second * 1000)
  const key = newObjectKey({ fileName: `Photo ${second}.jpg`, prefix, now })
  return testRecord(key, { size: second, createdAt: now.toISOString() })
}

/** What an index may have, apart from its records. */
const OPTIONAL = ['kept', 'lock', 'strayEntries'] as const

/**
 * Declares tests of the rules of `FileIndex`. `open` returns an empty index, and is called before each test.
 * `optional` are the operations that your index has and doesn't need: by default, all of them.
 */
export function declareFileIndexContract(
  runner: TestRunner,
  open: () => FileIndex | Promise<FileIndex>,
  optional: readonly (typeof OPTIONAL)[number][] = OPTIONAL,
): void {
  const { beforeEach, expect, it } = runner
  if (optional.includes('lock')) declareLockContract(runner, open)
  const all = { bucket: 'files', prefix: '', limit: 1000 }
  let index: FileIndex
  beforeEach(async () => {
    index = await open()
  })

  const putAll = async (records: readonly FileRecord[]): Promise<void> => {
    for (const record of records) await index.put(record)
  }

  /** Returns the records of all pages after `cursor`, in order. */
  const rest = async (input: ListInput): Promise<FileRecord[]> => {
    const { records, cursor, unreadable } = await index.list(input)
    expect(unreadable).toBe(0)
    expect(records.length).toBeLessThanOrEqual(input.limit)
    if (input.cursor !== undefined) expect(cursor).not.toBe(input.cursor)
    return cursor === undefined ? records : [...records, ...(await rest({ ...input, cursor }))]
  }

  it('returns the records of many keys, without those that have none', async () => {
    const keys = Array.from({ length: 250 }, (_, i) => parseObjectKey(`many/${i} "'é.txt`))
    const records = keys.slice(0, 3).map((key) => testRecord(key))
    await putAll(records)
    await index.put(testRecord(keys[5] ?? '', { bucket: 'other' }))
    const long = parseObjectKey('x'.repeat(1024))
    const found = await getMany(index, 'files', [...keys, long])
    const byKey = (one: FileRecord, two: FileRecord) => (one.key < two.key ? -1 : 1)
    expect(found.toSorted(byKey)).toEqual(records.toSorted(byKey))
    expect(await getMany(index, 'files', [])).toEqual([])
  })

  it('returns the record that was put', async () => {
    const records = [
      testRecord('uploads/a.jpg'),
      testRecord('uploads/b.jpg', {
        owner: null,
        size: 0,
        name: '漢字 "x"\u0000😀',
        etag: '"e-2"',
      }),
    ]
    for (const record of records) {
      expect(await index.put(record)).toEqual(record)
      expect(await index.get('files', record.key)).toEqual(record)
    }
    expect(await index.list(all)).toEqual({ ...EMPTY, records })
  })

  it('stores whether somebody has confirmed a record', async () => {
    const records = [
      testRecord('a', { owner: null, status: 'found' }),
      testRecord('b', { status: 'found' }),
      testRecord('c'),
    ]
    for (const record of records) {
      expect(await index.put(record)).toEqual(record)
      expect(await index.get('files', record.key)).toStrictEqual(record)
    }
    expect((await index.list(all)).records).toStrictEqual(records)
    const found = await getMany(
      index,
      'files',
      records.map(({ key }) => key),
    )
    expect(found.toSorted((one, two) => (one.key < two.key ? -1 : 1))).toStrictEqual(records)
  })

  const first = testRecord('a', { status: 'found' })
  const second = testRecord('a', { name: 'b', etag: '"2"' })
  const { key } = first
  const OTHERS = [
    { name: 'other' },
    { size: 7 },
    { mimetype: 'a/b' },
    { etag: '"0"' },
    { owner: null },
    { createdAt: '2020-01-01T00:00:00.000Z' },
    { status: undefined },
  ].map((change) => ({ ...first, ...change }))

  // @threat record-wrong
  it('writes over exactly the record that its writer has seen', async () => {
    expect(await index.put(first, { over: second })).toBeNull()
    expect(await index.get('files', key)).toBeNull()
    expect(await index.put(first, { over: null })).toEqual(first)
    expect(await index.put(second, { over: null })).toBeNull()
    for (const over of OTHERS) expect(await index.put(second, { over })).toBeNull()
    expect(await index.get('files', key)).toEqual(first)
    expect(await index.put(second, { over: first })).toEqual(second)
    expect(await index.put(first)).toEqual(first)
    expect(await index.get('files', key)).toEqual(first)
  })

  // @threat record-wrong
  it('removes exactly the record that its writer has seen', async () => {
    expect(await index.remove('files', key, { over: null })).toBe(true)
    expect(await index.remove('files', key, { over: first })).toBe(false)
    await index.put(first)
    for (const over of [...OTHERS, second, null])
      expect(await index.remove('files', key, { over })).toBe(false)
    expect(await index.get('files', key)).toEqual(first)
    expect(await index.remove('files', key, { over: first })).toBe(true)
    expect(await index.get('files', key)).toBeNull()
  })

  const keptOf = (record: FileRecord, expiresAt: string | null = null): KeptRecord => ({
    record,
    keptAt: '2026-11-24T12:00:00.000Z',
    expiresAt,
  })

  if (optional.includes('kept')) {
    // @threat owner-lost
    it('keeps a record with the write that takes its place, and forgets it with another', async () => {
      const own = index.kept
      if (own === undefined) throw new Error('This index keeps no records.')
      expect(await own.get('files', key)).toBeNull()
      await index.put(first)
      const kept = keptOf(first, '2026-12-24T12:00:00.000Z')
      for (const change of [{ kept }, { kept: null }, {}]) {
        await own.put(keptOf(second))
        expect(await index.put(second, { over: second, ...change })).toBeNull()
        expect(await index.remove('files', key, { over: null, ...change })).toBe(false)
        expect(await own.get('files', key)).toEqual(keptOf(second))
      }
      expect(await index.put(second, { over: first, kept })).toEqual(second)
      expect(await own.get('files', key)).toEqual(kept)
      expect(await index.put(first, { over: second, kept: null })).toEqual(first)
      expect(await own.get('files', key)).toBeNull()
      expect(await index.remove('files', key, { over: first, kept: keptOf(first) })).toBe(true)
      expect(await own.get('files', key)).toEqual(keptOf(first))
      expect(await index.remove('files', key, { over: null, kept: null })).toBe(true)
      expect(await own.get('files', key)).toBeNull()
      await own.put(kept)
      await own.remove('files', key)
      await own.remove('files', key)
      expect(await own.get('files', key)).toBeNull()
    })

    it('lists what is kept, below a prefix, in pages, and apart from the records', async () => {
      const own = index.kept
      const keys = ['a/1', 'a/2', 'a/é', 'b']
      for (const name of keys.toReversed()) await own?.put(keptOf(testRecord(name)))
      await own?.put(keptOf(testRecord('a/1', { bucket: 'other' })))
      expect(await index.list(all)).toEqual(EMPTY)
      const found: string[] = []
      let cursor: string | undefined
      do {
        const input = { ...all, prefix: 'a/', limit: 2, ...(cursor && { cursor }) }
        const page = await own?.list(input)
        found.push(...(page?.records ?? []).map(({ record }) => record.key))
        cursor = page?.cursor
      } while (cursor !== undefined)
      expect(found).toEqual(keys.slice(0, 3))
      expect((await own?.list(all))?.records).toEqual(keys.map((name) => keptOf(testRecord(name))))
      const asked = ['a/1', 'a/none', 'b', `long/${'x'.repeat(600)}`].map((name) =>
        parseObjectKey(name),
      )
      expect(
        (await own?.getMany('files', asked))?.map(({ record }) => record.key).toSorted(),
      ).toEqual(['a/1', 'b'])
    })
  }

  if (optional.includes('strayEntries')) {
    it('counts entries of other buckets, whose aliases are any text', async () => {
      const entries = [
        ['files', 'a'],
        ['old', 'a:b'],
        ['old', 'c'],
        ['__proto__', 'd'],
      ] as const
      for (const [bucket, key] of entries) await index.put(testRecord(key, { bucket }))
      const found = await index.strayEntries?.(['files', 'missing'])
      expect(found && Object.entries(found.aliases).toSorted()).toEqual([
        ['__proto__', 1],
        ['old', 2],
      ])
      expect(found).toMatchObject({ unreadable: 0, cursor: undefined })
    })
  }

  it('is empty at first', async () => {
    expect(await index.list(all)).toEqual(EMPTY)
    expect(await index.get('files', parseObjectKey('a'))).toBeNull()
  })

  it('returns nothing for other keys and other buckets', async () => {
    await index.put(testRecord('a'))
    for (const [bucket, key] of [
      ['files', 'b'],
      ['files', 'a/'],
      ['files', 'A'],
      ['archive', 'a'],
      ['file', 's:a'],
    ] as const)
      expect(await index.get(bucket, parseObjectKey(key)), `${bucket} ${key}`).toBeNull()
    expect(await index.list({ ...all, bucket: 'archive' })).toEqual(EMPTY)
    expect(await index.list({ ...all, bucket: 'file' })).toEqual(EMPTY)
  })

  it('separates equal keys of different buckets', async () => {
    const [one, two] = [testRecord('a'), testRecord('a', { bucket: 'archive', size: 2 })]
    await putAll([one, two])
    expect(await index.get('files', one.key)).toEqual(one)
    expect(await index.get('archive', two.key)).toEqual(two)
    expect((await index.list(all)).records).toEqual([one])
    await index.remove('files', one.key)
    expect(await index.get('archive', two.key)).toEqual(two)
  })

  it('replaces a record', async () => {
    await index.put(testRecord('a'))
    const record = testRecord('a', {
      size: 2,
      owner: null,
      createdAt: '2026-11-24T12:00:01.000Z',
    })
    expect(await index.put(record)).toEqual(record)
    expect(await index.get('files', record.key)).toEqual(record)
    expect((await index.list(all)).records).toEqual([record])
  })

  it('removes a record, and accepts a second removal', async () => {
    const [record, other] = [testRecord('a'), testRecord('a/b')]
    await putAll([record, other])
    for (let i = 0; i < 2; i++) {
      await index.remove('files', record.key)
      expect(await index.get('files', record.key)).toBeNull()
    }
    expect((await index.list(all)).records).toEqual([other])
  })

  it('stores every kind of key unchanged', async () => {
    for (const key of [
      'a b/+%?#&\'()*!~=".txt',
      '%2e%2e/%2F',
      '..\\x',
      '/leading//double/',
      'files:a:b',
      '漢字/😀e\u0301\u202e',
      ' ',
    ]) {
      const record = testRecord(key)
      await index.put(record)
      expect(await index.get('files', record.key), key).toEqual(record)
      expect((await index.list(all)).records, key).toEqual([record])
      expect((await index.list({ ...all, prefix: key })).records, key).toEqual([record])
      await index.remove('files', record.key)
      expect(await index.get('files', record.key), key).toBeNull()
    }
  })

  it('refuses a key only as requireIndexable does, and then stores nothing', async () => {
    for (const length of [1, 256, 512, 1024]) {
      const record = testRecord('k'.repeat(length))
      const reason = refusalOf(() => index.requireIndexable?.('files', record.key))
      if (reason === null) {
        expect(await index.put(record)).toEqual(record)
        expect(await index.get('files', record.key)).toEqual(record)
      } else {
        expect(reason).toMatchObject({ code: 'key_not_indexable' })
        await expect(index.put(record)).rejects.toEqual(reason)
        expect(await index.get('files', record.key)).toBeNull()
        expect(await index.list({ ...all, prefix: record.key })).toEqual(EMPTY)
      }
      expect(await index.remove('files', record.key)).toBe(true)
    }
  })

  it('lists in the order of the bytes of the keys', async () => {
    // In UTF-16, the last two have the other order.
    const inOrder = ['A', 'B/a', 'a', 'a/', 'a/b', 'a0', 'aa', 'é', '漢', '\ufffd', '😀']
    await putAll(inOrder.toReversed().map((key) => testRecord(key)))
    expect((await index.list(all)).records.map(({ key }) => key)).toEqual(inOrder)
    expect((await rest({ ...all, limit: 1 })).map(({ key }) => key)).toEqual(inOrder)
  })

  it('lists pages of any size, newest first, without gaps or repeats', async () => {
    const records = Array.from({ length: 25 }, (_, second) => recordAt(second))
    await putAll([...records, recordAt(1, 'team-b/'), testRecord('z', { bucket: 'archive' })])
    const newestFirst = records.toReversed()
    for (const limit of [1, 7, 24, 25, 26, 1000])
      expect(await rest({ ...all, prefix: 'team-a/', limit }), `${limit}`).toEqual(newestFirst)
    const { records: first, cursor } = await index.list({ ...all, prefix: 'team-a/', limit: 10 })
    expect(first).toEqual(newestFirst.slice(0, 10))
    expect(cursor).toEqual(expect.any(String))
  })

  it('lists only keys that start with exactly the prefix', async () => {
    const [one, two, other] = [recordAt(2), recordAt(1), recordAt(1, 'team-b/')]
    await putAll([one, two, other])
    const list = async (prefix: string) => (await index.list({ ...all, prefix })).records
    expect(await list('')).toEqual([one, two, other])
    expect(await list('team-')).toEqual([one, two, other])
    expect(await list('team-b/')).toEqual([other])
    expect(await list(one.key)).toEqual([one])
    for (const prefix of ['team-c', 'Team-a/', 'eam-a/', 'team-a//', `${one.key}x`, '%', '_', '*'])
      expect(await list(prefix), prefix).toEqual([])
  })

  it('misses nothing when a file is removed and one is added between two pages', async () => {
    const records = Array.from({ length: 12 }, (_, second) => recordAt(second))
    await putAll(records)
    const input = { ...all, prefix: 'team-a/', limit: 5 }
    const first = await index.list(input)
    const [seen] = first.records
    if (seen === undefined || first.cursor === undefined) throw new Error('There are more pages.')
    await index.put(recordAt(100))
    await index.remove('files', seen.key)
    const others = await rest({ ...input, cursor: first.cursor })
    expect([...first.records, ...others]).toEqual(records.toReversed())
  })

  it('continues after a page whose last file is removed', async () => {
    const records = Array.from({ length: 4 }, (_, second) => recordAt(second))
    await putAll(records)
    const { records: first, cursor } = await index.list({ ...all, limit: 2 })
    const last = first.at(-1)
    if (last === undefined || cursor === undefined) throw new Error('There are more pages.')
    await index.remove('files', last.key)
    expect([...first, ...(await rest({ ...all, limit: 2, cursor }))]).toEqual(records.toReversed())
  })
}

/** Returns the error with which `check` refuses, or null. */
function refusalOf(check: () => void): ApiError | null {
  try {
    check()
    return null
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
}
