import { reset } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/errors/api-error.ts'
import type { ObjectKey } from '../../../src/keys/object-key.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { goOn, MODES, type Order, type WalkState } from '../../../src/plugins/upkeep/state.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { coded, unavailable } from '../../support/errors.ts'
import { listOf, MemoryBucket } from '../../support/memory-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'
import {
  at,
  beginPass,
  DAY,
  dueAt,
  generated,
  HOUR,
  NOON,
  pass,
  recordOf,
  shown,
  stateOf,
  step,
  steps,
  type TestWalk,
  testWalk,
} from './support/walks.ts'

let bucket: MemoryBucket

beforeEach(() => {
  bucket = new MemoryBucket()
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

const OLD = NOON - 2 * HOUR
const MINUTE = 60_000

/** Stores an object with its record, and returns that. */
async function stored(
  { place: { index } }: TestWalk,
  key: string = generated(),
  changes: Partial<FileRecord> = {},
  time = OLD,
): Promise<FileRecord> {
  const record = recordOf(key, bucket.put(key, time), changes)
  await index.put(record)
  return record
}

const storedMany = async (walk: TestWalk, count: number): Promise<FileRecord[]> => {
  const records: FileRecord[] = []
  for (let i = 0; i < count; i++) records.push(await stored(walk))
  return records
}

/** Stores a record without an object, and returns it. */
async function lone(walk: TestWalk, key: string = generated(), changes: Partial<FileRecord> = {}) {
  const record = await stored(walk, key, changes)
  bucket.objects.delete(key)
  return record
}

/** Resolves with the counts that are not zero of a pass that begins so many minutes after noon. */
async function counted(walk: TestWalk, minutes = 0, order: Partial<Order> = {}) {
  const { last } = await pass(walk, minutes * MINUTE, order)
  return shown(last?.counts)
}

const of = ({ place }: TestWalk, key: ObjectKey) => place.index.get('files', key)
const keptOf = ({ place }: TestWalk, key: ObjectKey) => place.index.kept?.get('files', key)

/** A place whose changes are noted. */
const noted = () => {
  const changes: string[] = []
  return {
    changes,
    place: {
      announce: async ({ type }: { readonly type: string }) => void changes.push(type),
      purge: async (key: ObjectKey) => void changes.push(`purge ${key}`),
    },
  }
}

describe('mode report', () => {
  it('counts what would be done, and changes nothing', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place })
    const { index } = walk.place
    const old = NOON - 40 * DAY
    bucket.put(generated(), old)
    bucket.put('managed/a', old)
    bucket.put('managed/folder/', old)
    bucket.put('others/a', old)
    bucket.put(generated(), NOON - MINUTE)
    await stored(walk, generated(), {}, old + 999)
    await stored(walk, generated(), { size: 6 }, old)
    await stored(walk, generated(), { owner: null, status: 'found' }, old)
    await lone(walk)
    bucket.uploads = [
      { key: generated(), id: 'old', time: NOON - 9 * DAY },
      { key: generated(), id: 'new', time: NOON - 7 * DAY },
      { key: 'others/b', id: 'other', time: NOON - 9 * DAY },
    ]
    const put = vi.spyOn(index, 'put')
    const remove = vi.spyOn(index, 'remove')
    expect(await counted(walk, 0, { mode: 'report' })).toEqual({
      ...{ objects: 8, records: 4, unrecorded: 2, young: 1, unmanaged: 2, different: 1, gone: 1 },
      ...{ ownerless: 4, oldUploads: 1 },
    })
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0, failing: 0 })
    for (const write of [put, remove]) expect(write).not.toHaveBeenCalled()
    expect(changes).toEqual([])
    const asked = bucket.asked.map(({ operation }) => operation)
    expect([...new Set(asked)]).toEqual(['GET list-type', 'GET uploads'])
  })
})

describe('an object without a record', () => {
  it('of a generated key or a managed prefix gets one at once, with its type and the name in its key', async () => {
    const announce = vi.fn(async () => undefined)
    const owner = { owner: 'managed/{owner}/', ownerAs: 'app/{owner}' }
    const walk = testWalk({ place: { announce }, owner })
    const key = generated()
    const managed = parseObjectKey('managed/ann/Photo 1.jpg')
    const object = bucket.put(key, OLD)
    bucket.put(managed, OLD, { mimetype: 'image/jpeg' })
    bucket.put('others/a', OLD)
    await beginPass(walk)
    const state = await step(walk)
    expect(shown(state?.counts)).toEqual({
      ...{ objects: 3, unrecorded: 2, unmanaged: 1, ownerless: 2, recorded: 2 },
    })
    const name = expect.stringMatching(/^file-/)
    expect(await of(walk, key)).toEqual(
      recordOf(key, object, { name, owner: null, status: 'found' }),
    )
    const record = await of(walk, managed)
    expect(record).toMatchObject({ name: 'Photo 1.jpg', mimetype: 'image/jpeg', owner: 'app/ann' })
    expect(announce).toHaveBeenCalledWith({ type: 'recorded', file: record }, record)
  })

  it('waits for the grace time of an hour', async () => {
    const walk = testWalk()
    const key = generated()
    bucket.put(key, NOON - HOUR + 1000)
    expect(await counted(walk)).toMatchObject({ objects: 1, young: 1 })
    // The list may show an older object than the bucket has by now.
    const young = bucket.objects.get(key)
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' && young ? listOf([{ ...young, key, time: OLD }]) : undefined
    expect(await counted(walk)).not.toHaveProperty('recorded')
    bucket.before = () => undefined
    expect(await counted(walk, 1)).toMatchObject({ objects: 1, unrecorded: 1, recorded: 1 })
  })

  it('of an upload in parts waits until no client can be confirming it, in an index that is late', async () => {
    for (const [lagSeconds, age, recorded] of [
      [60, 8 * DAY - 1000, undefined],
      [60, 8 * DAY, 1],
      [0, HOUR, 1],
    ] as const) {
      bucket.objects.clear()
      const walk = testWalk({ place: { index: { ...memoryFileIndex(), lagSeconds } } })
      // AWS dates it from its start.
      bucket.put(generated(), NOON - age, { etag: '"0123-2"' })
      expect((await counted(walk)).recorded).toBe(recorded)
    }
  })

  it('keeps the record that somebody writes after the list', async () => {
    for (const moment of ['HEAD', 'announce']) {
      const key = generated()
      const object = bucket.put(key, OLD)
      const index = memoryFileIndex()
      const confirm = async () => void (await index.put(recordOf(key, object)))
      const announce = moment === 'announce' ? confirm : null
      const walk = testWalk({ place: { index, announce } })
      bucket.before = async ({ operation }) => {
        if (operation === moment) await confirm()
        return undefined
      }
      await beginPass(walk)
      await step(walk)
      expect(await of(walk, key), moment).toEqual(recordOf(key, object))
      bucket.before = () => undefined
    }
  })

  it('has no record at the end if it is deleted meanwhile', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place })
    const key = generated()
    bucket.put(key, OLD)
    bucket.before = ({ operation }) => {
      if (operation === 'HEAD' && bucket.count('HEAD') === 2) bucket.objects.delete(key)
      return undefined
    }
    await counted(walk)
    expect(await of(walk, key)).toBe(null)
    expect(changes).toEqual(['recorded', `purge ${key}`, 'deleted'])
  })

  it('is recorded only under the first alias of its bucket, and not if another one knows it', async () => {
    const key = generated()
    const object = bucket.put(key, OLD)
    expect(await counted(testWalk({ isFirst: false }))).toEqual({ objects: 1, unmanaged: 1 })
    const first = testWalk({ siblings: ['other'], aliases: ['files', 'other'] })
    await first.place.index.put({ ...recordOf(key, object), bucket: 'other' })
    expect(await counted(first)).toEqual({ objects: 1 })
    expect(await of(first, key)).toBe(null)
  })

  it('stays without one if another alias gets it before it is tried again', async () => {
    const key = generated()
    const object = bucket.put(key, OLD)
    const walk = testWalk({ siblings: ['other'], aliases: ['files', 'other'] })
    bucket.before = ({ operation }) =>
      operation === 'HEAD' ? new Response(null, { status: 500 }) : undefined
    expect(await counted(walk)).toMatchObject({ failed: 1 })
    bucket.before = () => undefined
    await walk.place.index.put({ ...recordOf(key, object), bucket: 'other' })
    await steps(walk, HOUR, 2 * HOUR)
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0, failing: 0 })
    expect(await of(walk, key)).toBe(null)
  })

  // @threat owner-lost
  it('stays without one if another alias keeps it when it is tried again', async () => {
    const key = generated()
    const object = bucket.put(key, OLD)
    const walk = testWalk({ siblings: ['other'], aliases: ['files', 'other'] })
    bucket.before = ({ operation }) =>
      operation === 'HEAD' ? new Response(null, { status: 500 }) : undefined
    expect(await counted(walk)).toMatchObject({ failed: 1 })
    bucket.before = () => undefined
    const record = { ...recordOf(key, object), bucket: 'other' }
    await walk.place.index.kept?.put({ record, keptAt: at(0).toISOString(), expiresAt: null })
    await steps(walk, HOUR, 2 * HOUR)
    expect(await of(walk, key)).toBe(null)
  })

  it('stays without one if the index refuses its key, which is counted', async () => {
    const walk = testWalk()
    bucket.put(generated(), OLD)
    walk.place.index.requireIndexable = () => {
      throw new ApiError('key_not_indexable', 'Too long.')
    }
    expect(await counted(walk)).toMatchObject({ objects: 1, unrecorded: 1, refused: 1 })
    expect((await walk.store.status(walk.name)).failing).toBe(0)
  })
})

describe('an object with another date', () => {
  // @threat upkeep-disowns
  it('of the same size and ETag is the same file: its name and owner stay, and no brake counts it', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place })
    const records = await storedMany(walk, 40)
    // A copy in place, such as for another encryption, or a bucket that was moved.
    for (const { key, etag } of records.slice(4)) bucket.put(key, NOON - 30 * MINUTE, { etag })
    expect(await counted(walk)).toEqual({ objects: 40, records: 40, updated: 36 })
    for (const record of records.slice(4))
      expect(await of(walk, record.key)).toEqual({
        ...record,
        createdAt: at(-30 * MINUTE).toISOString(),
      })
    expect(changes).toEqual([])
  })

  it('and another type has its copies purged', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place })
    const { key, etag } = await stored(walk)
    bucket.put(key, NOON - HOUR, { etag, mimetype: 'image/png' })
    await counted(walk)
    expect(await of(walk, key)).toMatchObject({ mimetype: 'image/png', owner: 'key:app' })
    expect(changes).toEqual([`purge ${key}`])
  })
})

describe('a record of another object', () => {
  it('is replaced after the pass, when its copies are purged and listeners told, and is kept', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place })
    const key = parseObjectKey('managed/a.txt')
    await storedMany(walk, 2)
    const before = await stored(walk, key)
    const object = bucket.put(key, OLD + MINUTE)
    expect(await counted(walk)).toEqual({ objects: 3, records: 3, different: 1, corrected: 1 })
    const expected = { name: 'a.txt', owner: null, status: 'found' } as const
    expect(await of(walk, key)).toEqual(recordOf(key, object, expected))
    expect(changes).toEqual([`purge ${key}`, 'replaced'])
    expect(await keptOf(walk, key)).toMatchObject({ record: before })
  })

  it('stays while one of both is young, and if only the list is late', async () => {
    const walk = testWalk()
    const young = await stored(walk)
    await storedMany(walk, 2)
    bucket.put(young.key, NOON - 1000)
    expect(await counted(walk)).toEqual({ objects: 3, records: 3 })
    const late = await stored(walk)
    const listed = [...bucket.objects].map(([key, object]) => ({
      ...{ key, ...object, etag: key === late.key ? '"old"' : object.etag },
    }))
    bucket.before = ({ operation }) => (operation === 'GET list-type' ? listOf(listed) : undefined)
    expect(await counted(walk)).toMatchObject({ different: 1 })
    expect(await of(walk, late.key)).toEqual(late)
  })
})

describe('a page of the index that is late', () => {
  // @threat upkeep-acts-early
  it('lets no record be replaced or removed before the pass has ended', async () => {
    const index = memoryFileIndex()
    // Its list doesn't show yet what somebody has recorded.
    const list = async () => ({ records: [], cursor: undefined, unreadable: 0 })
    const walk = testWalk({ place: { index: { ...index, list } } })
    const other = await stored(walk)
    bucket.put(other.key, OLD)
    const gone = await stored(walk)
    const { fetch } = globalThis
    vi.stubGlobal('fetch', async (...given: Parameters<typeof fetch>) => {
      const answer = await fetch(...given)
      // The object is in the list, and goes right after that.
      bucket.objects.delete(gone.key)
      return answer
    })
    await beginPass(walk)
    await steps(walk, 0, MINUTE)
    expect(await of(walk, other.key)).toEqual(other)
    expect(await of(walk, gone.key)).toEqual(gone)
  })
})

describe('a record without an object', () => {
  // @threat upkeep-acts-early
  it('causes nothing before the pass has ended, and goes at a second look ten minutes later', async () => {
    const { changes, place } = noted()
    const walk = testWalk({ place, pageSize: 2 })
    await storedMany(walk, 6)
    const record = await lone(walk, 'managed/a')
    const { index } = walk.place
    const remove = vi.spyOn(index, 'remove')
    await beginPass(walk)
    let state = await step(walk)
    while (state !== null) {
      expect([changes, remove.mock.calls]).toEqual([[], []])
      state = await step(walk)
    }
    expect(await stateOf(walk)).toMatchObject({ phase: 'acting', nextAt: null })
    expect(await steps(walk, MINUTE, 9 * MINUTE)).toMatchObject({ phase: 'acting' })
    expect(await of(walk, record.key)).toEqual(record)
    expect(shown((await steps(walk, 10 * MINUTE, 10 * MINUTE)).last?.counts)).toEqual({
      ...{ objects: 6, records: 7, gone: 1, dropped: 1 },
    })
    expect(await of(walk, record.key)).toBe(null)
    expect(changes).toEqual([`purge ${record.key}`, 'deleted'])
    expect(await keptOf(walk, record.key)).toMatchObject({ record })
  })

  // @threat owner-lost
  it('gets its name and owner back by itself when its object is there again', async () => {
    const walk = testWalk()
    await storedMany(walk, 3)
    const record = await stored(walk)
    const object = bucket.objects.get(record.key)
    bucket.objects.delete(record.key)
    expect(await counted(walk)).toMatchObject({ dropped: 1 })
    if (object !== undefined) bucket.objects.set(record.key, { ...object, time: NOON })
    expect(await counted(walk, 120)).toMatchObject({ unrecorded: 1, returned: 1 })
    expect(await of(walk, record.key)).toEqual({ ...record, createdAt: at(0).toISOString() })
  })

  // @threat owner-lost
  it('gets them back wherever it is: outside of what upkeep records, and under a second alias', async () => {
    const first = testWalk({ siblings: ['other'], aliases: ['files', 'other'] })
    const { index } = first.place
    const other = testBucket({ alias: 'other', managedPrefixes: ['managed/'] })
    const second = testWalk({
      siblings: ['files'],
      aliases: ['files', 'other'],
      isFirst: false,
      place: { index, bucket: other },
    })
    await storedMany(first, 3)
    const chosen = await stored(first, 'albums/cover.png')
    const key = generated()
    const theirs = recordOf(key, bucket.put(key, OLD), { bucket: 'other' })
    await index.put(theirs)
    const objects = new Map(bucket.objects)
    for (const one of [chosen.key, key]) bucket.objects.delete(one)
    await index.put(recordOf('managed/z', bucket.put('managed/z', OLD), { bucket: 'other' }))
    for (const walk of [first, second]) expect(await counted(walk)).toMatchObject({ dropped: 1 })
    for (const [one, object] of objects) bucket.objects.set(one, object)
    for (const walk of [first, second])
      expect(await counted(walk, 120)).toMatchObject({ returned: 1 })
    expect(await of(first, chosen.key)).toEqual(chosen)
    expect([await of(first, key), await index.get('other', key)]).toEqual([null, theirs])
  })

  it('lets no other object be recorded outside of what upkeep records', async () => {
    const walk = testWalk()
    const key = parseObjectKey('albums/cover.png')
    const object = bucket.put(key, OLD)
    const keptAt = at(0).toISOString()
    await walk.place.index.kept?.put({ record: recordOf(key, object), keptAt, expiresAt: null })
    // Somebody replaces it after the list.
    bucket.put(key, OLD)
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' ? listOf([{ ...object, key }]) : undefined
    expect(await counted(walk)).not.toHaveProperty('recorded')
    expect(await of(walk, key)).toBe(null)
  })

  // @threat owner-lost
  it('does not expire while an object of its size is there, also if upkeep only reports', async () => {
    const walk = testWalk()
    const key = parseObjectKey('albums/cover.png')
    const record = recordOf(key, bucket.put(key, OLD))
    const expiresAt = at(20 * DAY).toISOString()
    await walk.place.index.kept?.put({ record, keptAt: at(0).toISOString(), expiresAt })
    expect(await counted(walk, 0, { mode: 'report' })).toMatchObject({ unrecorded: 1 })
    expect(await keptOf(walk, key)).toMatchObject({ record, expiresAt: null })
    bucket.put(key, OLD, { size: 99 })
    await counted(walk, 120)
    expect(await keptOf(walk, key)).toMatchObject({ record, expiresAt: expect.any(String) })
    bucket.put(key, OLD)
    await counted(walk, 240)
    expect(await keptOf(walk, key)).toMatchObject({ record, expiresAt: null })
    expect(await of(walk, key)).toBe(null)
  })

  it('stays while it is young, and if its object or another record is there at the second look', async () => {
    const walk = testWalk()
    await storedMany(walk, 3)
    const young = await lone(walk, generated(), { createdAt: at(-599_000).toISOString() })
    expect(await counted(walk)).toEqual({ objects: 3, records: 4 })
    await walk.place.index.remove('files', young.key)
    const [back, newer] = [await lone(walk), await lone(walk)]
    await beginPass(walk, HOUR)
    await steps(walk, HOUR, HOUR + MINUTE)
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 2 })
    bucket.objects.set(back.key, { ...bucket.put(back.key, OLD), etag: back.etag })
    const now = { ...newer, createdAt: at(HOUR + 5 * MINUTE).toISOString() }
    await walk.place.index.put(now)
    const { last } = await steps(walk, HOUR + 2 * MINUTE, HOUR + 20 * MINUTE)
    expect(shown(last?.counts)).toEqual({ objects: 3, records: 5, gone: 2 })
    expect([await of(walk, back.key), await of(walk, newer.key)]).toEqual([back, now])
  })
})

describe('the brake', () => {
  const stopped = async (walk: TestWalk, minutes = 0): Promise<WalkState> => {
    const { place } = walk
    const [put, remove] = [vi.spyOn(place.index, 'put'), vi.spyOn(place.index, 'remove')]
    const state = await pass(walk, minutes * MINUTE)
    expect([put.mock.calls, remove.mock.calls]).toEqual([[], []])
    put.mockRestore()
    remove.mockRestore()
    expect(await step(walk, 100 * DAY)).toBe(null)
    return state
  }
  const release = async (walk: TestWalk, from: number): Promise<WalkState> => {
    await walk.store.put(walk.name, goOn(await stateOf(walk), at(from)))
    return steps(walk, from, from + 30 * MINUTE)
  }

  // @threat upkeep-disowns
  it('stops if other bytes are under many keys, until a person lets it go on', async () => {
    const walk = testWalk()
    const records = await storedMany(walk, 40)
    for (const { key } of records.slice(4)) bucket.put(key, OLD + MINUTE)
    expect(await stopped(walk)).toMatchObject({
      ...{ phase: 'acting', stopped: { reason: 'many records differ' } },
      counts: { different: 36 },
    })
    expect(shown((await release(walk, HOUR)).last?.counts)).toMatchObject({ corrected: 36 })
    for (const record of records.slice(4))
      expect(await keptOf(walk, record.key)).toMatchObject({ record })
    expect(await stateOf(walk)).toMatchObject({ stopped: null, accepted: [] })
  })

  it('stops above 20 records and 1 % of them', async () => {
    const walk = testWalk()
    const records = await storedMany(walk, 41)
    for (const { key } of records.slice(0, 20)) bucket.objects.delete(key)
    const { last } = await pass(walk)
    expect(last?.counts).toMatchObject({ gone: 20, dropped: 20 })
    await storedMany(walk, 22)
    for (const { key } of records.slice(20)) bucket.objects.delete(key)
    expect((await stopped(walk, 60)).stopped?.reason).toBe('many records differ')
  })

  it('stops at an empty list, also for one record', async () => {
    const walk = testWalk()
    await lone(walk)
    expect((await stopped(walk)).stopped?.reason).toBe('empty list')
  })

  it('stops at another bucket, in which no record has its object', async () => {
    const walk = testWalk()
    const records = await storedMany(walk, 3)
    bucket.objects.clear()
    bucket.put('others/a', OLD)
    for (const { key } of records.slice(1)) bucket.put(key, OLD)
    expect((await stopped(walk)).stopped?.reason).toBe('another bucket')
    expect((await release(walk, HOUR)).last?.counts).toMatchObject({ dropped: 1, corrected: 2 })
  })

  // @threat upkeep-disowns
  it.each([0, 60])(
    'is not led astray by records of another bucket that it has made itself: lag %i',
    async (lagSeconds) => {
      const walk = testWalk({ place: { index: { ...memoryFileIndex(), lagSeconds } } })
      const records = await storedMany(walk, 12)
      bucket.objects.clear()
      for (let i = 0; i < 2000; i++) bucket.put(generated(), OLD)
      for (const hours of [0, 2, 4]) {
        expect(await pass(walk, hours * HOUR)).toMatchObject({
          stopped: { reason: 'another bucket' },
        })
        for (const record of records.slice(0, 3)) expect(await of(walk, record.key)).toEqual(record)
      }
    },
  )

  // @threat upkeep-disowns
  it('stays where it has stopped after a pass that only reports, and goes on from there by an order', async () => {
    const walk = testWalk()
    const gone = await lone(walk)
    await stopped(walk)
    const { last, ...state } = await pass(walk, HOUR, { mode: 'report' })
    expect(shown(last?.counts)).toEqual({ records: 1, gone: 1 })
    expect(state).toMatchObject({ phase: 'idle', stopped: { reason: 'empty list' } })
    await beginPass(walk, 2 * HOUR, { mode: 'report' })
    await pass(walk, 2 * HOUR, { mode: 'report' })
    expect(await stateOf(walk)).toMatchObject({ stopped: { reason: 'empty list' } })
    expect((await release(walk, 3 * HOUR)).last?.counts).toMatchObject({ dropped: 1 })
    expect(await of(walk, gone.key)).toBe(null)
    expect(await stateOf(walk)).toMatchObject({ stopped: null, held: null })
  })

  // @threat upkeep-acts-early
  it('comes before uploads are aborted, and before keys that failed at a change are tried again', async () => {
    let isBroken = true
    const announce = async () => {
      if (isBroken) throw unavailable('events')
    }
    const walk = testWalk({ place: { announce } })
    await storedMany(walk, 30)
    const record = await lone(walk)
    expect(await pass(walk)).toMatchObject({ phase: 'idle', counts: { failed: 1 } })
    isBroken = false
    const objects = new Map(bucket.objects)
    bucket.objects.clear()
    bucket.uploads = [{ key: generated(), id: 'a', time: NOON - 9 * DAY }]
    expect(await pass(walk, 2 * HOUR)).toMatchObject({ stopped: { reason: 'empty list' } })
    expect(bucket.uploads).toHaveLength(1)
    expect(await of(walk, record.key)).toEqual(record)
    for (const [key, object] of objects) bucket.objects.set(key, object)
    expect((await pass(walk, 4 * HOUR)).last?.counts).toMatchObject({ aborted: 1 })
    await steps(walk, 5 * HOUR, 6 * HOUR)
    expect(await of(walk, record.key)).toBe(null)
  })

  it('stops only if a second pass finds the same, with an index that may be late', async () => {
    const walk = testWalk({ place: { index: { ...memoryFileIndex(), lagSeconds: 60 } } })
    const records = await storedMany(walk, 40)
    for (const { key } of records.slice(4)) bucket.objects.delete(key)
    await beginPass(walk)
    const startedAt = (await stateOf(walk))?.startedAt
    await steps(walk, 0, MINUTE)
    // It is the same pass for the command that waits for it.
    expect(await stateOf(walk)).toMatchObject({
      ...{ startedAt, stopped: null, phase: 'objects', isDoubted: true },
    })
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0 })
    // The index shows only now that somebody has deleted the files.
    for (const { key } of records.slice(4)) await walk.place.index.remove('files', key)
    expect(await steps(walk, 90_000, 3 * MINUTE)).toMatchObject({ phase: 'idle', stopped: null })
    const others = await storedMany(walk, 40)
    for (const { key } of others) bucket.objects.delete(key)
    expect(await pass(walk, HOUR)).toMatchObject({ stopped: { reason: 'many records differ' } })
  })

  it('stops above 10,000 changes, before the pass has ended, and a person lets it collect and act', async () => {
    const walk = testWalk()
    await storedMany(walk, 2)
    const records = Array.from({ length: 10_001 }, (_, i) =>
      recordOf(`managed/${String(i).padStart(5, '0')}`, bucket.put('others/a', OLD)),
    )
    const list = vi.spyOn(walk.place.index, 'list')
    const all = [...records]
    list.mockImplementation(async ({ limit, cursor = '' }) => {
      const page = all.filter(({ key }) => key > cursor).slice(0, limit)
      return {
        records: page,
        cursor: page.length < limit ? undefined : page.at(-1)?.key,
        unreadable: 0,
      }
    })
    const state = await stopped(walk)
    expect(state).toMatchObject({ phase: 'objects', stopped: { reason: 'over 10,000 changes' } })
    expect(state.counts.gone).toBeLessThanOrEqual(10_000)
    const next = await release(walk, HOUR)
    expect(next).toMatchObject({ phase: 'acting', stopped: { reason: 'another bucket' } })
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 10_001, failing: 0 })
  })
})

describe('a key that fails', () => {
  const failing = (keys: ReadonlySet<string>, error = unavailable('events')) =>
    testWalk({
      place: {
        announce: async ({ file }) => {
          if (keys.has(file.key)) throw error
        },
      },
    })

  // @threat upkeep-held
  it.each(['event', 'HEAD'])('does not hold a walk: its %s always fails', async (kind) => {
    const keys = new Set(['managed/3'])
    const walk = failing(kind === 'event' ? keys : new Set())
    for (let i = 0; i < 9; i++) bucket.put(`managed/${i}`, OLD)
    bucket.before = ({ operation, key }) =>
      kind === 'HEAD' && operation === 'HEAD' && keys.has(key)
        ? new Response(null, { status: 500 })
        : undefined
    const { last, failure } = await pass(walk)
    expect(last?.counts).toMatchObject({ objects: 9, recorded: 8, failed: 1 })
    expect(failure).toMatchObject(coded(kind === 'event' ? 'unavailable events' : 'storage_error'))
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0, failing: 1 })
    // The next pass leaves it to its turn, and a later one finds it recorded.
    expect(await counted(walk, 20)).not.toHaveProperty('failed')
    keys.clear()
    await steps(walk, 40 * MINUTE, 10 * HOUR)
    expect(await of(walk, parseObjectKey('managed/3'))).not.toBe(null)
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0, failing: 0 })
  })

  // @threat upkeep-held
  it('does not hold a walk if there are twenty of them', async () => {
    const keys = new Set(Array.from({ length: 20 }, (_, i) => `managed/${i}`))
    const walk = failing(keys)
    for (const key of keys) bucket.put(key, OLD)
    bucket.put('managed/zz', OLD)
    const { last } = await pass(walk)
    expect(last?.counts).toMatchObject({ objects: 21, recorded: 1, failed: 20 })
    const { index } = walk.place
    for (const key of keys) await index.put(recordOf(key, bucket.put(key, OLD)))
    expect(await counted(walk, 60)).toMatchObject({ objects: 21, records: 21 })
  })

  it('is tried again later and later, up to a day', async () => {
    const walk = failing(new Set(['managed/a']))
    bucket.put('managed/a', OLD)
    await beginPass(walk)
    const tried: number[] = []
    for (let steps = 0; steps < 30; steps++) {
      const due = (await dueAt(walk)) ?? 0
      const before = bucket.count('HEAD')
      await step(walk, due)
      if (bucket.count('HEAD') > before) tried.push(due / MINUTE)
    }
    const pauses = tried.map((time, i) => time - (tried[i - 1] ?? 0))
    expect(pauses.slice(0, 13)).toEqual([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440])
  })

  it('at a change is tried again alone, and the pass ends', async () => {
    let isBroken = true
    const purge = async () => {
      if (isBroken) throw unavailable('purge', 'No.')
    }
    const walk = testWalk({ place: { purge } })
    await storedMany(walk, 3)
    const record = await lone(walk)
    expect(await pass(walk)).toMatchObject({ phase: 'idle', counts: { failed: 1, dropped: 0 } })
    expect(await of(walk, record.key)).toEqual(record)
    isBroken = false
    await steps(walk, 16 * MINUTE, HOUR)
    expect(await of(walk, record.key)).toBe(null)
  })

  it('ends the step if it is the third one and none has succeeded, and the next one goes on behind it', async () => {
    const keys = new Set(Array.from({ length: 12 }, (_, i) => `managed/${i + 10}`))
    const walk = failing(keys)
    for (const key of keys) bucket.put(key, OLD)
    await beginPass(walk)
    const first = await step(walk)
    expect(first).toMatchObject({ after: 'managed/15', counts: { failed: 6, objects: 6 } })
    expect(first?.nextAt).toBe(NOON + MINUTE)
    expect(await step(walk)).toBe(null)
    expect(await step(walk, MINUTE)).toMatchObject({ phase: 'entries', counts: { failed: 12 } })
  })

  it('stops the step where it is if the error is not about a key', async () => {
    const walk = failing(
      new Set(['managed/3']),
      new ApiError('misconfigured', 'No.', { reason: 'expired' }),
    )
    for (let i = 0; i < 9; i++) bucket.put(`managed/${i}`, OLD)
    await beginPass(walk)
    for (const [failures, pause] of [
      [1, 2],
      [2, 4],
      [3, 8],
      [4, 16],
    ] as const) {
      const { nextAt } = await stateOf(walk)
      const state = await step(walk, (nextAt ?? 0) - NOON)
      expect(state).toMatchObject({ after: null, failures, counts: { failed: 0, objects: 0 } })
      expect(state?.failure).toMatchObject({ code: 'misconfigured', reason: 'expired' })
      expect((state?.nextAt ?? 0) - (nextAt ?? 0)).toBe(1000 * pause)
    }
    expect(await walk.store.status(walk.name)).toMatchObject({ collected: 0, failing: 0 })
  })
})

// @threat upkeep-deletes
it('no mode deletes a file whose record has gone while its object was missing', async () => {
  for (const mode of MODES) {
    const walk = testWalk()
    const { index } = walk.place
    await pass(walk, -10 * DAY, { mode })
    const confirmed = await stored(walk, generated(), {}, NOON)
    const object = bucket.objects.get(confirmed.key)
    await index.remove('files', confirmed.key)
    await stored(walk, generated(), {}, NOON)
    for (let hours = 2; hours < 100 * 24; hours += 96) await pass(walk, hours * HOUR, { mode })
    expect(bucket.objects.get(confirmed.key), mode).toBe(object)
    bucket.objects.clear()
  }
})

describe('uploads in parts', () => {
  it('are aborted if they are old, of generated keys and managed prefixes, and no others', async () => {
    const uploads = [
      { key: generated(), id: 'a', time: NOON - 8 * DAY - 1000 },
      { key: 'managed/b', id: 'b', time: NOON - 9 * DAY },
      { key: generated(), id: 'young', time: NOON - 8 * DAY + 1000 },
      { key: 'others/c', id: 'other', time: NOON - 9 * DAY },
    ]
    bucket.uploads = [...uploads]
    expect(await counted(testWalk(), 0, { mode: 'report' })).toEqual({ oldUploads: 2 })
    expect(await counted(testWalk({ isFirst: false }))).toEqual({ oldUploads: 2 })
    expect(bucket.uploads).toHaveLength(4)
    expect(await counted(testWalk({ pageSize: 1 }))).toEqual({ oldUploads: 2, aborted: 2 })
    expect(bucket.uploads.map(({ id }) => id).sort()).toEqual(['other', 'young'])
  })

  it('are aborted as far as a step may send requests, and the rest in the next one', async () => {
    bucket.uploads = Array.from({ length: 5 }, (_, i) => ({
      ...{ key: generated(), id: `${i}`, time: NOON - 9 * DAY },
    }))
    expect(await counted(testWalk({ maxRequests: 4 }))).toEqual({ oldUploads: 5, aborted: 5 })
    expect(bucket.count('GET uploads')).toBe(2)
  })

  // @threat upkeep-held
  it('that can not be aborted are counted, and don’t hold the walk', async () => {
    bucket.uploads = Array.from({ length: 7 }, (_, i) => ({
      ...{ key: generated(), id: `${i}`, time: NOON - 9 * DAY },
    }))
    bucket.before = ({ operation }) =>
      operation === 'DELETE uploadId' ? new Response(null, { status: 500 }) : undefined
    expect(await counted(testWalk())).toEqual({ oldUploads: 7, failed: 7 })
  })

  it('are skipped on a server that does not list them', async () => {
    for (const status of [501, 400, 403, 405]) {
      bucket.before = ({ operation }) =>
        operation === 'GET uploads' ? new Response(null, { status }) : undefined
      expect(await counted(testWalk()), `${status}`).toEqual({ oldUploads: null })
    }
  })
})

it('makes one change in a step, even if that may need more requests than a step has', async () => {
  const walk = testWalk({ maxRequests: 2 })
  for (const name of ['a', 'b', 'c']) bucket.put(`managed/${name}`, OLD)
  await beginPass(walk)
  for (const recorded of [1, 2, 3]) expect((await step(walk))?.counts).toMatchObject({ recorded })
})

it('ends a pass in which uploads or entries fail three times, and counts them as unknown', async () => {
  const walk = testWalk()
  walk.place.index.strayEntries = async () => {
    throw new Error('It failed.')
  }
  bucket.before = ({ operation }) =>
    operation === 'GET uploads' ? new Response(null, { status: 500 }) : undefined
  const { phase, last } = await pass(walk)
  expect([phase, last?.counts]).toEqual([
    'idle',
    expect.objectContaining({ oldUploads: null, foreign: null }),
  ])
  expect(bucket.count('GET uploads')).toBe(3)
})

it('waits where the bucket refuses the access key, and leaves out nothing', async () => {
  const walk = testWalk()
  let isRefused = true
  const code = '<Error><Code>InvalidAccessKeyId</Code></Error>'
  bucket.before = ({ operation }) =>
    operation === 'GET uploads' && isRefused ? new Response(code, { status: 403 }) : undefined
  expect(await pass(walk)).toMatchObject({
    ...{ phase: 'uploads', failure: { code: 'misconfigured', reason: 'credentials' } },
  })
  expect(bucket.count('GET uploads')).toBeGreaterThan(3)
  isRefused = false
  const { last } = await steps(walk, HOUR, 2 * HOUR)
  expect(last?.counts.oldUploads).toBe(0)
})

describe('entries that no request can reach', () => {
  it('are counted page by page, with the aliases that are configured', async () => {
    const walk = testWalk({ aliases: ['files', 'other'] })
    const strayEntries = vi.fn(async (_: readonly string[], cursor?: string) =>
      cursor === undefined
        ? { aliases: { gone: 3, old: 1 }, unreadable: 2, cursor: 'next' }
        : { aliases: { old: 1 }, unreadable: 0, cursor: undefined },
    )
    walk.place.index.strayEntries = strayEntries
    expect(await counted(walk)).toEqual({ foreign: 5, unreadable: 2 })
    expect(strayEntries.mock.calls).toEqual([
      [['files', 'other'], undefined],
      [['files', 'other'], 'next'],
    ])
  })

  it('are unknown if the index can not tell', async () => {
    const { strayEntries: _, ...index } = memoryFileIndex()
    expect(await counted(testWalk({ place: { index } }))).toEqual({ foreign: null })
  })
})

describe('objects without an owner', () => {
  const seen = ({ store, name }: TestWalk, minutes = 0, prefix = '') =>
    store.ownerless(name, prefix, NOON + minutes * MINUTE, 100)

  it('are remembered since they were first seen so, also in mode report', async () => {
    const walk = testWalk({ pageSize: 2 })
    for (const key of ['managed/1', 'managed/2', 'managed/3/', 'others/a']) bucket.put(key, OLD)
    await stored(walk, 'managed/4')
    await stored(walk, 'managed/5', { owner: null, status: 'found' })
    await counted(walk, 0, { mode: 'report' })
    expect((await seen(walk)).map(({ key, since }) => [key, since])).toEqual([
      ['managed/1', NOON],
      ['managed/2', NOON],
      ['managed/5', NOON],
    ])
    bucket.put('managed/6', OLD)
    await counted(walk, 60)
    expect((await seen(walk)).map(({ key }) => key)).toEqual([
      'managed/1',
      'managed/2',
      'managed/5',
    ])
    expect((await seen(walk, 60)).map(({ key }) => key)).toContain('managed/6')
  })

  // @threat orphan-owned
  it('are not those whose record is kept', async () => {
    const walk = testWalk()
    const record = recordOf('managed/1', bucket.put('managed/1', OLD), { etag: '"earlier"' })
    await walk.place.index.kept?.put({ record, keptAt: at(0).toISOString(), expiresAt: null })
    expect(await counted(walk, 0, { mode: 'report' })).not.toHaveProperty('ownerless')
    expect(await seen(walk)).toEqual([])
  })

  // @threat orphan-replaced
  it('are seen anew after a later upload of the same bytes', async () => {
    const walk = testWalk()
    const object = bucket.put('managed/1', OLD)
    await counted(walk)
    bucket.objects.set('managed/1', { ...object, time: NOON + HOUR })
    await counted(walk, 180)
    expect(await seen(walk)).toEqual([])
    expect(await seen(walk, 180)).toHaveLength(1)
  })

  it('are forgotten once they have an owner, are gone or are other objects', async () => {
    const walk = testWalk()
    for (const key of ['managed/1', 'managed/2', 'managed/3', 'managed/4']) bucket.put(key, OLD)
    await counted(walk)
    const { index } = walk.place
    const owned = bucket.objects.get('managed/1')
    if (owned) await index.put(recordOf('managed/1', owned))
    bucket.objects.delete('managed/2')
    bucket.put('managed/3', OLD)
    await counted(walk, 120)
    expect((await seen(walk)).map(({ key }) => key)).toEqual(['managed/4'])
    expect((await seen(walk, 120)).map(({ key }) => key)).toEqual(['managed/3', 'managed/4'])
  })
})

describe('an import', () => {
  const owner = { owner: 'photos/{owner}/', ownerAs: 'key:app/{owner}' }
  const IMPORT = { import: { prefix: 'photos/', owner } }

  it('records every object below its prefix as found, ten minutes after its date', async () => {
    const walk = testWalk()
    bucket.put('photos/ann/1.jpg', NOON - 601_000)
    bucket.put('photos/ann/2.jpg', NOON - 599_000)
    bucket.put('photos/ann/', OLD)
    bucket.put(generated(), OLD)
    expect(await counted(walk, 0, IMPORT)).toEqual({
      ...{ objects: 3, unrecorded: 1, unmanaged: 1, young: 1, recorded: 1 },
    })
    expect(await of(walk, parseObjectKey('photos/ann/1.jpg'))).toMatchObject({
      ...{ name: '1.jpg', owner: 'key:app/ann', status: 'found' },
    })
    expect(bucket.count('GET uploads')).toBe(0)
  })

  it('changes no record, drops nothing and aborts nothing', async () => {
    const walk = testWalk()
    const gone = await lone(walk, 'photos/gone.jpg')
    const other = await stored(walk, 'photos/other.jpg', { size: 6 })
    bucket.uploads = [{ key: generated(0, 'photos/'), id: 'a', time: NOON - 9 * DAY }]
    await counted(walk, 0, IMPORT)
    expect([await of(walk, gone.key), await of(walk, other.key)]).toEqual([gone, other])
    expect([bucket.objects.size, bucket.uploads.length]).toEqual([1, 1])
  })

  it('only counts in the mode report', async () => {
    const walk = testWalk()
    bucket.put('photos/ann/1.jpg', OLD)
    expect(await counted(walk, 0, { ...IMPORT, mode: 'report' })).toEqual({
      objects: 1,
      unrecorded: 1,
    })
    expect(bucket.count('HEAD')).toBe(0)
  })
})

it('makes pauses between steps for which nobody waits', async () => {
  const walk = testWalk({ pageSize: 2, pauseSeconds: 600, place: { bucket: testBucket() } })
  await storedMany(walk, 6)
  for (const [isWaited, pause] of [
    [false, 600_000],
    [true, 0],
  ] as const) {
    await beginPass(walk, 0, { isWaited })
    expect((await step(walk))?.nextAt).toBe(NOON + pause)
  }
})
