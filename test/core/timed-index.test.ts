import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RequestTime } from '../../src/errors/deadline.ts'
import { memoryFileIndex } from '../../src/plugins/files/memory-file-index.ts'
import { type FileIndex, timedIndex } from '../../src/records/file-index.ts'
import { declareFileIndexContract } from '../../src/testing/file-index-contract.ts'
import { testRecord } from '../../src/testing/test-record.ts'

const record = testRecord('a')
const hang = () => new Promise<never>(() => {})
const hanging: FileIndex = { get: hang, put: hang, remove: hang, list: hang }

const operations = (index: FileIndex) => [
  () => index.get('files', record.key),
  () => index.put(record),
  () => index.remove('files', record.key),
  () => index.list({ bucket: 'files', prefix: '', limit: 1 }),
]

type Lock = NonNullable<FileIndex['lock']>

const lockIn = (index: FileIndex, ...keys: Parameters<Lock>): ReturnType<Lock> => {
  if (index.lock === undefined) throw new Error('This index has no locks.')
  return index.lock(...keys)
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

declareFileIndexContract({ beforeEach, expect, it }, () =>
  timedIndex(memoryFileIndex(), new Date()),
)

// @threat index-hangs
it('ends every operation that hangs with unavailable after ten seconds', async () => {
  for (const operate of operations(timedIndex(hanging, new Date()))) {
    let ended = false
    const operation = operate().finally(() => {
      ended = true
    })
    const refused = expect(operation).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'index',
      cause: expect.objectContaining({ message: expect.stringContaining('10 seconds') }),
    })
    await vi.advanceTimersByTimeAsync(9999)
    expect(ended).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await refused
  }
})

// @threat request-slow
it('ends every operation at the deadline of the request, and starts none after it', async () => {
  const index = { ...hanging, get: vi.fn(hang) }
  const timed = timedIndex(index, new RequestTime(Date.now() + 4000))
  const refused = operations(timed).map((operate) =>
    expect(operate()).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'storage',
      retryAfterSeconds: 5,
    }),
  )
  await vi.advanceTimersByTimeAsync(4000)
  await Promise.all(refused)
  await expect(timed.get('files', record.key)).rejects.toMatchObject({
    code: 'unavailable',
    reason: 'storage',
  })
  expect(index.get).toHaveBeenCalledTimes(1)
})

describe('a lock', () => {
  it('that comes too late is released', async () => {
    const index = memoryFileIndex()
    const slow: FileIndex = {
      ...index,
      async lock(...keys) {
        await new Promise((resolve) => setTimeout(resolve, 11_000))
        return lockIn(index, ...keys)
      },
    }
    const refused = expect(lockIn(timedIndex(slow, new Date()), 'b', ['a'], 300)).rejects.toThrow()
    await vi.advanceTimersByTimeAsync(11_000)
    await refused
    expect([...(await lockIn(index, 'b', ['a'], 300)).held.keys()]).toEqual(['a'])
  })

  it('is released even after the deadline of the request, in which it can not be noted', async () => {
    const index = memoryFileIndex()
    const timed = timedIndex(index, new RequestTime(Date.now() + 1000))
    const lock = await lockIn(timed, 'b', ['a'], 300)
    await vi.advanceTimersByTimeAsync(2000)
    await expect(lock.note('a', 'late')).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
    await lock.release(['a'])
    expect([...(await lockIn(index, 'b', ['a'], 300)).held.keys()]).toEqual(['a'])
  })
})

describe('stray entries', () => {
  const date = new Date('2026-11-28T12:00:00Z')

  // @threat index-hangs
  it('end when the index hangs, and are missing if it has none', async () => {
    const timed = timedIndex({ ...hanging, strayEntries: hang }, new Date())
    const asked = timed.strayEntries?.([])
    const refused = expect(asked).rejects.toMatchObject({ code: 'unavailable', reason: 'index' })
    await vi.advanceTimersByTimeAsync(10_000)
    await refused
    const { strayEntries: _, ...index } = memoryFileIndex()
    expect(timedIndex(index, new Date()).strayEntries).toBeUndefined()
  })

  it('keep what `this` is for a class', async () => {
    class Index {
      readonly #began = date
      get = async () => null
      put = async () => record
      remove = async () => true
      list = async () => ({ records: [], cursor: undefined, unreadable: 0 })
      async strayEntries(_: readonly string[], cursor?: string) {
        return { aliases: {}, unreadable: this.#began.getTime(), cursor }
      }
    }
    const timed = timedIndex(new Index(), new Date())
    expect(await timed.strayEntries?.(['a'], 'c')).toMatchObject({ cursor: 'c' })
  })
})

it('leaves no timer behind', async () => {
  for (const operate of operations(timedIndex(memoryFileIndex(), new Date()))) await operate()
  expect(vi.getTimerCount()).toBe(0)
})

describe('an index that answers', () => {
  const query = { bucket: 'files', prefix: 'a/', limit: 9 }
  const answering = (answers: FileIndex['answers']) =>
    timedIndex({ ...memoryFileIndex(), ...(answers && { answers }) }, new Date())

  // @threat index-hangs
  it('ends what it keeps when that hangs, and leaves out what was not asked for', async () => {
    const kept = { get: hang, getMany: hang, list: hang, put: hang, remove: hang }
    const timed = timedIndex({ ...hanging, kept }, new Date()).kept
    const keptRecord = { record, keptAt: record.createdAt, expiresAt: null }
    for (const ask of [
      () => timed?.get('files', record.key),
      () => timed?.getMany('files', [record.key]),
      () => timed?.list({ ...query, prefix: '' }),
      () => timed?.put(keptRecord),
      () => timed?.remove('files', record.key),
    ]) {
      const refused = expect(ask()).rejects.toMatchObject({ code: 'unavailable', reason: 'index' })
      await vi.advanceTimersByTimeAsync(10_000)
      await refused
    }
    const others = timedIndex(
      {
        ...memoryFileIndex(),
        kept: {
          ...kept,
          get: async () => keptRecord,
          getMany: async () => [keptRecord],
          list: async () => ({ records: [keptRecord], cursor: undefined }),
        },
      },
      new Date(),
    ).kept
    expect(await others?.get('files', record.key)).toEqual(keptRecord)
    const other = testRecord('other').key
    await expect(others?.get('files', other)).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'index',
    })
    expect((await others?.list({ ...query, prefix: 'a' }))?.records).toEqual([keptRecord])
    expect((await others?.list(query))?.records).toEqual([])
    expect(await others?.getMany('files', [record.key])).toEqual([keptRecord])
    expect(await others?.getMany('files', [other])).toEqual([])
  })

  it('still compares, and gets what a writer has seen', async () => {
    const index = { ...hanging, put: vi.fn(async () => null), remove: vi.fn(async () => false) }
    const timed = timedIndex(index, new Date())
    expect([timed.kept, timed.answers]).toEqual([undefined, undefined])
    const change = { over: record, kept: null }
    expect(await timed.put(record, change)).toBeNull()
    expect(await timed.remove('files', record.key, change)).toBe(false)
    expect(index.put).toHaveBeenCalledExactlyOnceWith(record, change)
    expect(index.remove).toHaveBeenCalledExactlyOnceWith('files', record.key, change)
  })

  // @threat index-other-file
  it('leaves out files and folders that were not asked for', async () => {
    const mine = testRecord('a/b')
    const folder = (prefix: string) => ({ prefix, count: 1, bytes: 1 })
    const { answers } = answering({
      find: async () => ({
        records: [mine, record, testRecord('a/c', { bucket: 'other' })],
        folders: [folder('a/b/'), folder('b/')],
        cursor: 'c',
        unreadable: 1,
      }),
      stats: async () => ({ count: 1, bytes: 2 }),
    })
    expect(await answers?.find(query)).toEqual({
      records: [mine],
      folders: [folder('a/b/')],
      cursor: 'c',
      unreadable: 3,
    })
    expect(await answers?.stats(query)).toEqual({ count: 1, bytes: 2 })
  })

  // @threat index-hangs
  it('ends every question that hangs', async () => {
    const { answers } = answering({ find: hang, stats: hang })
    for (const ask of [() => answers?.find(query), () => answers?.stats(query)]) {
      const refused = expect(ask()).rejects.toMatchObject({ code: 'unavailable', reason: 'index' })
      await vi.advanceTimersByTimeAsync(10_000)
      await refused
    }
  })
})
