import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/errors/api-error.ts'
import type { ObjectKey } from '../../../src/keys/object-key.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { goOn, lookAgainAt, startWalk, type Walk } from '../../../src/plugins/upkeep/pass.ts'
import { MODES, type WalkState } from '../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../src/plugins/upkeep/walk.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { unavailable } from '../../support/errors.ts'
import { listOf, MemoryBucket } from '../../support/memory-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'
import { at, DAY, generated, HOUR, NOON, pass, recordOf, shown, testWalk } from './support/walks.ts'

let bucket: MemoryBucket

beforeEach(() => {
  bucket = new MemoryBucket()
})
afterEach(() => void vi.unstubAllGlobals())

const OLD = NOON - 2 * HOUR

/** Stores an object with its record, and returns that. */
async function stored(
  { index }: Walk,
  key: string = generated(),
  changes: Partial<FileRecord> = {},
  time = OLD,
): Promise<FileRecord> {
  const record = recordOf(key, bucket.put(key, time), changes)
  await index.put(record)
  return record
}

/** Stores a record without an object, and returns it. */
async function lone(walk: Walk, key: string = generated(), changes: Partial<FileRecord> = {}) {
  const record = await stored(walk, key, changes)
  bucket.objects.delete(key)
  return record
}

/** Resolves with the counts of a pass in so many minutes from noon, and its state. */
async function counted(walk: Walk, minutes = 0, last: WalkState | null = null) {
  const { ended, state, failure } = await pass(walk, minutes * 60_000, last)
  return { counts: shown(ended?.counts), state, failure }
}

const of = (walk: Walk, key: ObjectKey) => walk.index.get('files', key)

describe('mode report', () => {
  it('counts what would be done, and changes nothing', async () => {
    const walk = testWalk({ mode: 'report', announce: vi.fn() })
    const { index } = walk
    const old = NOON - 40 * DAY
    bucket.put(generated(), old)
    bucket.put('managed/a', old)
    bucket.put('managed/folder/', old)
    bucket.put('others/a', old)
    bucket.put(generated(), NOON - 60_000)
    await stored(walk, generated(), {}, old + 999)
    await stored(walk, generated(), { size: 6 }, old)
    await stored(walk, generated(), { status: 'found' }, old)
    await lone(walk)
    bucket.uploads = [
      { key: generated(), id: 'old', time: NOON - 9 * DAY },
      { key: generated(), id: 'new', time: NOON - 7 * DAY },
      { key: 'others/b', id: 'other', time: NOON - 9 * DAY },
    ]
    const put = vi.spyOn(index, 'put')
    const remove = vi.spyOn(index, 'remove')
    const { ended, state } = await pass(walk, 0)
    expect(shown(ended?.counts)).toEqual({
      ...{ objects: 8, records: 4, unrecorded: 2, young: 1, unmanaged: 2, different: 1, gone: 1 },
      oldUploads: 1,
    })
    expect(state).toMatchObject({ suspects: [], last: { mode: 'report' } })
    for (const write of [put, remove, walk.announce]) expect(write).not.toHaveBeenCalled()
    const asked = bucket.asked.map(({ operation }) => operation)
    expect([...new Set(asked)]).toEqual(['GET list-type', 'GET uploads'])
  })
})

describe('an object without a record', () => {
  it('of a generated key or a managed prefix gets one, with its type and the name in its key', async () => {
    const announce = vi.fn(async () => undefined)
    const walk = testWalk({
      announce,
      owner: { owner: 'managed/{owner}/', ownerAs: 'app/{owner}' },
    })
    const key = generated()
    const managed = parseObjectKey('managed/ann/Photo 1.jpg')
    const object = bucket.put(key, OLD)
    bucket.put(managed, OLD, { mimetype: 'image/jpeg' })
    bucket.put('others/a', OLD)
    const { counts } = await counted(walk)
    expect(counts).toEqual({ objects: 3, unrecorded: 2, unmanaged: 1, recorded: 2 })
    const expected = {
      name: expect.stringMatching(/^file-/),
      owner: null,
      status: 'found',
    } as const
    expect(await of(walk, key)).toEqual(recordOf(key, object, expected))
    const record = await of(walk, managed)
    expect(record).toMatchObject({ name: 'Photo 1.jpg', mimetype: 'image/jpeg', owner: 'app/ann' })
    expect(announce.mock.calls).toContainEqual([{ type: 'recorded', file: record }, record])
  })

  it('waits for the grace time of an hour', async () => {
    const walk = testWalk()
    const key = generated()
    bucket.put(key, NOON - HOUR + 1000)
    expect((await counted(walk)).counts).toEqual({ objects: 1, young: 1 })
    // The list may show an older object than the bucket has by now.
    const young = bucket.objects.get(key)
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' && young ? listOf([{ ...young, key, time: OLD }]) : undefined
    expect((await counted(walk)).counts).toEqual({ objects: 1, unrecorded: 1 })
    bucket.before = () => undefined
    expect((await counted(walk, 1)).counts).toEqual({ objects: 1, unrecorded: 1, recorded: 1 })
  })

  it('of an upload in parts waits until no client can be confirming it, in such an index', async () => {
    for (const [index, age, recorded] of [
      [{ ...memoryFileIndex(), lagSeconds: 60 }, 8 * DAY - 1000, undefined],
      [{ ...memoryFileIndex(), lagSeconds: 60 }, 8 * DAY, 1],
      [memoryFileIndex(), HOUR, 1],
    ] as const) {
      bucket.objects.clear()
      const walk = testWalk({ index })
      // AWS dates it from its start.
      const { etag } = bucket.put(generated(), NOON - age, { etag: '"0123-2"' })
      expect((await counted(walk)).counts.recorded).toBe(recorded)
      await index.put(
        recordOf('managed/a', bucket.put('managed/a', NOON - age, { etag }), { etag: '"0"' }),
      )
      expect((await counted(walk)).counts.corrected).toBe(recorded)
    }
  })

  // @threat upkeep-deletes
  it('is found in the first pass that writes: it may be confirmed under an older alias of the bucket', async () => {
    const walk = testWalk({ index: memoryFileIndex() })
    const { state } = await pass({ ...walk, mode: 'report' }, -24 * HOUR)
    const key = generated()
    bucket.put(key, OLD)
    for (const last of [null, state]) {
      await counted(walk, 0, last)
      expect(await of(walk, key)).toMatchObject({ status: 'found' })
      await walk.index.remove('files', key)
    }
  })

  it('is found in an index without conditions, which may hide a confirmation', async () => {
    const walk = testWalk({ index: { ...memoryFileIndex(), lagSeconds: 60 } })
    const key = generated()
    bucket.put(key, OLD)
    await counted(walk)
    expect(await of(walk, key)).toMatchObject({ status: 'found' })
  })

  it('keeps the record that somebody writes after the list', async () => {
    for (const moment of ['HEAD', 'announce']) {
      const key = generated()
      const object = bucket.put(key, OLD)
      const confirm = () => walk.index.put(recordOf(key, object))
      const announce = async () => void (await confirm())
      const walk = testWalk({ announce: moment === 'announce' ? announce : null })
      bucket.before = async ({ operation }) => {
        if (operation === moment) await confirm()
        return undefined
      }
      const { counts } = await counted(walk)
      expect(counts, moment).toEqual({ objects: bucket.objects.size, unrecorded: 1 })
      expect(await of(walk, key), moment).toEqual(recordOf(key, object))
      await counted(testWalk({ index: walk.index }))
      bucket.objects.clear()
    }
  })

  it('has no record at the end if it is deleted meanwhile', async () => {
    const types: string[] = []
    const walk = testWalk({ announce: async ({ type }) => void types.push(type) })
    const key = generated()
    bucket.put(key, OLD)
    bucket.before = ({ operation }) => {
      if (operation === 'HEAD' && bucket.count('HEAD') === 2) bucket.objects.delete(key)
      return undefined
    }
    await counted(walk)
    expect(await of(walk, key)).toBe(null)
    expect(types).toEqual(['recorded', 'deleted'])
  })

  it('is recorded only under the first alias of its bucket, and not if another one knows it', async () => {
    const key = generated()
    const object = bucket.put(key, OLD)
    const second = testWalk({ isFirst: false })
    expect((await counted(second)).counts).toEqual({ objects: 1, unmanaged: 1 })
    const first = testWalk({ siblings: ['other'], aliases: ['files', 'other'] })
    await first.index.put({ ...recordOf(key, object), bucket: 'other' })
    expect((await counted(first)).counts).toEqual({ objects: 1 })
    expect(await of(first, key)).toBe(null)
  })

  it('stays without one if the index refuses its key, which is counted', async () => {
    const walk = testWalk()
    bucket.put(generated(), OLD)
    walk.index.requireIndexable = () => {
      throw new ApiError('key_not_indexable', 'Too long.')
    }
    const { counts, failure } = await counted(walk)
    expect([counts, failure]).toEqual([{ objects: 1, unrecorded: 1, refused: 1 }, null])
  })
})

describe('a record of another object', () => {
  it('is replaced by a provisional one, after edge copies are purged and listeners told', async () => {
    const steps: string[] = []
    const walk = testWalk({
      index: memoryFileIndex(),
      purge: async (_, keys) => void steps.push(`purge ${keys}`),
      announce: async ({ type }) => void steps.push(type),
    })
    const key = parseObjectKey('managed/a.txt')
    await stored(walk, key)
    const object = bucket.put(key, OLD + 60_000)
    const { counts } = await counted(walk)
    expect(counts).toEqual({ objects: 1, records: 1, different: 1, corrected: 1 })
    const expected = { name: 'a.txt', owner: null, status: 'found' } as const
    expect(await of(walk, key)).toEqual(recordOf(key, object, expected))
    expect(steps).toEqual(['purge managed/a.txt', 'replaced'])
  })

  it('stays while one of both is young, if only the list is late, and if somebody records it', async () => {
    const walk = testWalk()
    const young = await stored(walk)
    bucket.put(young.key, NOON - 1000)
    expect((await counted(walk)).counts).toEqual({ objects: 1, records: 1 })
    bucket.objects.clear()
    const late = await stored(walk)
    const object = bucket.objects.get(late.key)
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' && object
        ? listOf([{ ...object, key: late.key, etag: '"old"' }])
        : undefined
    expect((await counted(walk)).counts).toMatchObject({ different: 1 })
    expect(await of(walk, late.key)).toEqual(late)
    const other = bucket.put(late.key, OLD + 60_000)
    bucket.before = async ({ operation }) => {
      if (operation === 'HEAD') await walk.index.put(recordOf(late.key, other))
      return undefined
    }
    expect((await counted(walk)).counts).toEqual({ objects: 1, records: 2, different: 1, gone: 1 })
    expect(await of(walk, late.key)).toEqual(recordOf(late.key, other))
  })
})

describe('a record without an object', () => {
  it('is kept, and dropped with its copies, at a second look ten minutes later', async () => {
    const steps: string[] = []
    const keep = vi.fn(async () => {})
    const walk = testWalk({
      keep,
      purge: async (_, keys) => void steps.push(`purge ${keys}`),
      announce: async ({ type }) => void steps.push(type),
    })
    const record = await lone(walk)
    await stored(walk)
    const first = await counted(walk)
    expect(first.counts).toEqual({ objects: 1, records: 2, gone: 1 })
    expect(lookAgainAt(first.state)).toBe(NOON + 600_000)
    const early = await counted(walk, 9, first.state)
    expect(early.state.suspects).toEqual(first.state.suspects)
    expect(await of(walk, record.key)).toEqual(record)
    const second = await counted(walk, 10, early.state)
    expect(second.counts).toEqual({ objects: 1, records: 1, dropped: 1 })
    expect(await of(walk, record.key)).toBe(null)
    expect(second.state.suspects).toEqual([])
    expect(keep.mock.calls).toEqual([[[record], at(600_000)]])
    expect(steps).toEqual([`purge ${record.key}`, 'deleted'])
  })

  it('is told to a caller who keeps it, and dropped in the next step', async () => {
    const walk = testWalk({ keep: null })
    const [record, other] = [await lone(walk), await lone(walk, 'managed/b')]
    await stored(walk)
    const { state } = await counted(walk)
    const told = await stepWalk(walk, state, at(600_000))
    expect(told.toDrop).toHaveLength(2)
    expect(told.toDrop).toEqual(expect.arrayContaining([record, other]))
    expect(await of(walk, record.key)).toEqual(record)
    // One of them is there again.
    bucket.put(other.key, NOON)
    const dropped = await stepWalk(walk, told.state, at(601_000))
    expect([dropped.toDrop, dropped.state.suspects, dropped.state.announced]).toEqual([[], [], []])
    expect(await of(walk, record.key)).toBe(null)
    expect(await of(walk, other.key)).toEqual(other)
  })

  it('is no suspect while it is young, or once its object or another record is there again', async () => {
    const walk = testWalk()
    await stored(walk)
    const young = await lone(walk, generated(), { createdAt: at(-599_000).toISOString() })
    expect((await counted(walk)).state.suspects).toEqual([])
    await walk.index.remove('files', young.key)
    const [back, newer] = [await lone(walk), await lone(walk)]
    const { state } = await counted(walk)
    expect(state.suspects).toHaveLength(2)
    bucket.put(back.key, OLD)
    await walk.index.put({ ...newer, createdAt: at(0).toISOString() })
    const { counts, state: next } = await counted(walk, 10, state)
    expect(counts).toMatchObject({ objects: 2, records: 3 })
    expect(await of(walk, back.key)).not.toBe(null)
    expect(await of(walk, newer.key)).not.toBe(null)
    // Ten minutes after its date, the newer record is a suspect itself.
    expect(next.suspects).toEqual([
      expect.objectContaining({ key: newer.key, seenAt: NOON + 600_000 }),
    ])
  })

  it('waits for a later pass if there are too many suspects', async () => {
    const walk = testWalk()
    const state = startWalk(walk, at(0))
    const suspects = Array.from({ length: 1000 }, () => ({
      ...{ key: generated(), etag: '"e"', createdAt: at(-DAY).toISOString(), seenAt: NOON },
    }))
    await lone(walk)
    for (let i = 0; i < 3; i++) await stored(walk)
    const many = await stepWalk(walk, { ...state, suspects }, at(0))
    expect(many.state.suspects).toHaveLength(1000)
    const long = suspects.slice(0, 200).map((one) => ({ ...one, etag: 'x'.repeat(1024) }))
    const large = await stepWalk(walk, { ...state, suspects: long }, at(0))
    expect(large.state.suspects).toHaveLength(200)
  })

  it('has its second look later if that fails, and the walk goes on', async () => {
    let isBroken = true
    const purge = async () => {
      if (isBroken) throw unavailable('purge', 'No.')
    }
    const walk = testWalk({ purge })
    const record = await lone(walk)
    await stored(walk)
    const { state } = await counted(walk)
    const failed = await stepWalk(walk, state, at(600_000))
    expect(failed).toMatchObject({
      failure: { code: 'unavailable', reason: 'purge' },
      state: { phase: 'uploads' },
    })
    expect(failed.state.suspects).toMatchObject([{ key: record.key, seenAt: NOON + 600_000 }])
    isBroken = false
    const later = await stepWalk(walk, failed.state, at(1_200_000))
    expect([later.state.suspects, await of(walk, record.key)]).toEqual([[], null])
  })

  it('gets at most eight second looks in a step', async () => {
    const walk = testWalk()
    await stored(walk)
    for (let i = 0; i < 10; i++) await lone(walk)
    const { state } = await counted(walk)
    const { state: next } = await stepWalk(walk, state, at(600_000))
    expect(next.counts.dropped).toBe(8)
  })
})

// @threat upkeep-deletes
it('no mode deletes a file whose record has gone while its object was missing', async () => {
  for (const mode of MODES) {
    const walk = testWalk({ mode, index: memoryFileIndex() })
    const { index } = walk
    let { state } = await pass(walk, -10 * DAY)
    const confirmed = await stored(walk, generated(), {}, NOON)
    const object = bucket.objects.get(confirmed.key)
    bucket.objects.delete(confirmed.key)
    await index.remove('files', confirmed.key)
    if (object !== undefined) bucket.objects.set(confirmed.key, object)
    await stored(walk, generated(), {}, NOON)
    for (let hours = 2; hours < 100 * 24; hours += 12)
      ({ state } = await pass(walk, hours * HOUR, state))
    expect(bucket.objects.get(confirmed.key), mode).toBe(object)
    bucket.objects.clear()
  }
})

describe('mode record', () => {
  it('aborts old uploads in parts of generated keys and managed prefixes, and no others', async () => {
    const uploads = [
      { key: generated(), id: 'a', time: NOON - 8 * DAY - 1000 },
      { key: 'managed/b', id: 'b', time: NOON - 9 * DAY },
      { key: generated(), id: 'young', time: NOON - 8 * DAY + 1000 },
      { key: 'others/c', id: 'other', time: NOON - 9 * DAY },
    ]
    bucket.uploads = [...uploads]
    const report = await counted(testWalk({ mode: 'report' }))
    expect(report.counts).toEqual({ oldUploads: 2 })
    expect((await counted(testWalk({ isFirst: false }))).counts).toEqual({ oldUploads: 2 })
    expect(bucket.uploads).toHaveLength(4)
    const { counts } = await counted(testWalk({ pageSize: 1 }))
    expect(counts).toEqual({ oldUploads: 2, aborted: 2 })
    expect(bucket.uploads.map(({ id }) => id).sort()).toEqual(['other', 'young'])
  })

  it('aborts only as many as a step may have requests, and the rest in the next one', async () => {
    bucket.uploads = Array.from({ length: 5 }, (_, i) => ({
      ...{ key: generated(), id: `${i}`, time: NOON - 9 * DAY },
    }))
    const walk = testWalk({ maxRequests: 4 })
    expect((await counted(walk)).counts).toEqual({ oldUploads: 5, aborted: 5 })
    expect(bucket.count('GET uploads')).toBe(2)
  })
})

describe('uploads in parts', () => {
  it('are skipped on a server that does not list them', async () => {
    const walk = testWalk()
    for (const status of [501, 400, 403, 405]) {
      bucket.before = ({ operation }) =>
        operation === 'GET uploads' ? new Response(null, { status }) : undefined
      const { counts, failure } = await counted(walk)
      expect([counts, failure], `${status}`).toEqual([{ oldUploads: null }, null])
    }
  })

  it('are tried again after an error', async () => {
    bucket.before = ({ operation }) =>
      operation === 'GET uploads' ? new Response(null, { status: 500 }) : undefined
    const { failure, state } = await counted(testWalk())
    expect(failure).toMatchObject({ code: 'storage_error' })
    expect(state).toMatchObject({ phase: 'uploads', failures: 1 })
  })
})

it('ends a pass in which uploads or entries fail three times, and counts them as unknown', async () => {
  const walk = testWalk()
  walk.index.strayEntries = async () => {
    throw new Error('It failed.')
  }
  bucket.before = ({ operation }) =>
    operation === 'GET uploads' ? new Response(null, { status: 500 }) : undefined
  let result = await pass(walk, 0)
  const phases = [result.state.phase]
  while (!result.isDone) {
    expect(result.failure).not.toBe(null)
    result = await pass(walk, 0, result.state)
    phases.push(result.state.phase)
  }
  expect(phases).toEqual(['uploads', 'uploads', 'entries', 'entries', 'entries', 'objects'])
  expect(result.ended?.counts).toMatchObject({ oldUploads: null, foreign: null })
})

describe('entries that no request can reach', () => {
  it('are counted page by page, with the aliases that are configured', async () => {
    const walk = testWalk({ aliases: ['files', 'other'] })
    const strayEntries = vi.fn(async (_: readonly string[], cursor?: string) =>
      cursor === undefined
        ? { aliases: { gone: 3, old: 1 }, unreadable: 2, cursor: 'next' }
        : { aliases: { old: 1 }, unreadable: 0, cursor: undefined },
    )
    walk.index.strayEntries = strayEntries
    expect((await counted(walk)).counts).toEqual({ foreign: 5, unreadable: 2 })
    expect(strayEntries.mock.calls).toEqual([
      [['files', 'other'], undefined],
      [['files', 'other'], 'next'],
    ])
  })

  it('are unknown if the index can not tell', async () => {
    const { strayEntries: _, ...index } = testWalk().index
    expect((await counted(testWalk({ index }))).counts).toEqual({ foreign: null })
  })
})

describe('the brake', () => {
  const stopped = async (walk: Walk, state: WalkState, minutes = 60) => {
    const before = bucket.asked.length
    const result = await stepWalk(walk, state, at(minutes * 60_000))
    const { startedAt } = state
    expect({ ...result.state, stopped: null, startedAt }).toEqual(state)
    const asked = bucket.asked.slice(before).map(({ operation }) => operation)
    expect(asked.filter((operation) => operation === 'DELETE')).toEqual([])
    return result.state
  }

  /** A pass over 30 files, of which each has a record. */
  async function passed(changes: Partial<Walk> = {}) {
    const walk = testWalk({ pageSize: 10, ...changes })
    for (let i = 0; i < 30; i++) await stored(walk)
    const { state } = await counted(walk)
    expect(state.witnesses).toHaveLength(3)
    return { walk, state }
  }

  it('stops at the wrong endpoint', async () => {
    const { walk, state } = await passed()
    const other = { ...walk, bucket: testBucket({ origin: 'https://other.example' }) }
    expect((await stopped(other, state)).stopped).toEqual({
      ...{ reason: 'another bucket', at: at(HOUR).toISOString() },
    })
  })

  it('does not stop at one deleted object of a small bucket', async () => {
    const { walk, state } = await passed({ pageSize: 1000 })
    bucket.objects.delete(state.witnesses[0]?.key ?? '')
    expect((await pass(walk, HOUR, state)).state).toMatchObject({ stopped: null })
  })

  it('stops only if the bucket still differs once the index shows all changes', async () => {
    const { walk, state } = await passed({ pageSize: 100 })
    const late = { ...walk, index: { ...walk.index, lagSeconds: 60 } }
    // Somebody deletes most files, and the index shows that a minute later.
    const gone = [...bucket.objects].slice(1)
    for (const [key] of gone) bucket.objects.delete(key)
    const first = await stepWalk(late, state, at(HOUR))
    expect(first.failure).toMatchObject({
      code: 'unavailable',
      reason: 'index',
      retryAfterSeconds: 90,
    })
    expect(first.state).toMatchObject({ stopped: null, suspects: [], after: null })
    const soon = await stepWalk(late, first.state, at(HOUR + 89_000))
    expect(soon.state).toMatchObject({ stopped: null, suspects: [], after: null })
    expect((await stepWalk(late, soon.state, at(HOUR + 90_000))).state.stopped).not.toBe(null)
    for (const [key] of gone) await walk.index.remove('files', parseObjectKey(key))
    const records = { ...late, index: { ...late.index } }
    const { state: next } = await stepWalk(
      records,
      { ...soon.state, last: null },
      at(HOUR + 90_000),
    )
    expect(next).toMatchObject({ stopped: null, phase: 'uploads' })
    expect(next).not.toHaveProperty('doubtedAt')
  })

  it('stops at an alias that points elsewhere, such as behind the same name', async () => {
    const { walk, state } = await passed()
    bucket.objects.clear()
    for (let i = 0; i < 100; i++) bucket.put(generated(), OLD)
    expect((await stopped(walk, state)).stopped?.reason).toBe('another bucket')
  })

  it('stops at an empty list, with or without an earlier pass', async () => {
    const { walk, state } = await passed()
    bucket.before = ({ operation }) => (operation === 'GET list-type' ? listOf([]) : undefined)
    expect((await stopped(walk, state)).stopped?.reason).toBe('empty list')
    expect((await stopped(walk, startWalk(walk, at(0)))).stopped?.reason).toBe('empty list')
  })

  it('stops at half a list', async () => {
    // The records of the others are gone too.
    const { walk, state } = await passed({ pageSize: 100 })
    const keys = [...bucket.objects.keys()].sort()
    for (const key of keys.slice(10)) await walk.index.remove('files', parseObjectKey(key))
    bucket.before = ({ operation }) =>
      operation === 'GET list-type'
        ? listOf(
            keys.slice(0, 10).flatMap((key) => {
              const object = bucket.objects.get(key)
              return object ? [{ key, ...object }] : []
            }),
          )
        : undefined
    expect((await stopped(walk, state)).stopped?.reason).toBe('shorter list')
  })

  it('stops when many records are without an object, before it looks at any again', async () => {
    const { walk, state } = await passed({ pageSize: 100 })
    const [witness] = state.witnesses
    for (const key of bucket.objects.keys()) if (key !== witness?.key) bucket.objects.delete(key)
    bucket.put('others/a', OLD)
    const after = await stopped(walk, { ...state, last: null })
    expect(after.stopped?.reason).toBe('many records without an object')
    expect(after.suspects).toEqual([])
  })

  it('records everything again, as found, with a fresh empty index', async () => {
    const { walk, state } = await passed()
    const index = memoryFileIndex()
    const { counts } = await counted({ ...walk, index }, 60, state)
    expect(counts).toEqual({ objects: 30, unrecorded: 30, recorded: 30 })
    const { records } = await index.list({ bucket: 'files', prefix: '', limit: 100 })
    expect(new Set(records.map(({ status }) => status))).toEqual(new Set(['found']))
  })

  it('does nothing until a person says go on, and then does not stop for the same reason', async () => {
    const { walk, state } = await passed({ pageSize: 5 })
    bucket.objects.clear()
    bucket.put('others/a', OLD)
    const witnesses = await stopped(walk, state)
    const before = bucket.asked.length
    expect((await stepWalk(walk, witnesses, at(HOUR))).state).toEqual(witnesses)
    expect(bucket.asked.length).toBe(before)
    const reasons = [witnesses.stopped?.reason]
    let result = await pass(walk, HOUR, goOn(witnesses))
    for (; result.state.stopped !== null; result = await pass(walk, HOUR, goOn(result.state)))
      reasons.push(result.state.stopped.reason)
    expect(reasons).toEqual(['another bucket', 'shorter list', 'many records without an object'])
    expect(result.state.suspects).toHaveLength(30)
    // What is left is worked off without another word.
    let state2 = result.state
    for (let minutes = 75; minutes < 180; minutes += 15) {
      const next = await pass(walk, minutes * 60_000, state2)
      expect(next.state.stopped).toBe(null)
      state2 = next.state
    }
    expect((await walk.index.list({ bucket: 'files', prefix: '', limit: 10 })).records).toEqual([])
    expect(state2.accepted).toEqual([])
  })

  it('begins from nothing in another bucket that a person has accepted', async () => {
    const { walk, state } = await passed()
    const other = {
      ...walk,
      bucket: testBucket({ name: 'other', origin: 'https://other.example' }),
    }
    const stop = await stopped(other, { ...state, suspects: [] })
    const { state: next } = await pass(other, HOUR, goOn(stop))
    expect(next).toMatchObject({ stopped: null, accepted: [], last: { counts: { objects: 30 } } })
    expect(next.identity).toContain('other.example')
    expect((await pass(other, 2 * HOUR, next)).state.stopped).toBe(null)
  })
})

describe('an import', () => {
  const importing = (changes: Partial<Walk> = {}) =>
    testWalk({
      import: { prefix: 'photos/', owner: 'photos/{owner}/', ownerAs: 'key:app/{owner}' },
      index: memoryFileIndex(),
      ...changes,
    })

  it('records every object below its prefix as found, ten minutes after its date', async () => {
    const walk = importing()
    bucket.put('photos/ann/1.jpg', NOON - 601_000)
    bucket.put('photos/ann/2.jpg', NOON - 599_000)
    bucket.put('photos/ann/', OLD)
    bucket.put(generated(), OLD)
    const { counts, state } = await counted(walk)
    expect(counts).toEqual({ objects: 3, unrecorded: 1, unmanaged: 1, young: 1, recorded: 1 })
    expect(await of(walk, parseObjectKey('photos/ann/1.jpg'))).toMatchObject({
      ...{ name: '1.jpg', owner: 'key:app/ann', status: 'found' },
    })
    expect(state).toMatchObject({ phase: 'objects', after: null, last: null, witnesses: [] })
    expect(bucket.count('GET uploads')).toBe(0)
  })

  it('drops and aborts nothing', async () => {
    const walk = importing()
    const gone = await lone(walk, 'photos/gone.jpg')
    const key = generated(0, 'photos/')
    await stored(walk, key, { status: 'found' }, NOON - 10 * DAY)
    bucket.uploads = [{ key: generated(0, 'photos/'), id: 'a', time: NOON - 9 * DAY }]
    const suspects = [{ ...gone, seenAt: 0 }]
    const { state } = await counted(walk, 0, { ...startWalk(walk, at(0)), suspects })
    expect(state.suspects).toEqual(suspects)
    expect([await of(walk, gone.key), bucket.objects.size, bucket.uploads.length]).toEqual([
      gone,
      1,
      1,
    ])
  })

  it('only counts in the mode report', async () => {
    const walk = importing({ mode: 'report' })
    bucket.put('photos/ann/1.jpg', OLD)
    expect((await counted(walk)).counts).toEqual({ objects: 1, unrecorded: 1 })
    expect(bucket.count('HEAD')).toBe(0)
  })
})
