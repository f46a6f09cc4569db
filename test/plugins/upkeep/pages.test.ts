import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { memoryFileIndex } from '../../../src/plugins/files/memory-file-index.ts'
import { startPass, type WalkState } from '../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../src/plugins/upkeep/walk.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { testDatabase } from '../../support/d1.ts'
import { listOf, MemoryBucket } from '../../support/memory-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'
import {
  at,
  beginPass,
  DAY,
  step as dueStep,
  generated,
  HOUR,
  NOON,
  ORDER,
  pass,
  recordOf,
  shown,
  stateOf,
  steps,
  type TestWalk,
  testWalk,
} from './support/walks.ts'

let bucket: MemoryBucket

beforeEach(() => {
  bucket = new MemoryBucket()
})
afterEach(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  await reset()
})

const OLD = NOON - 2 * HOUR

/** Does the next step of a pass at noon. */
async function step(walk: TestWalk): Promise<WalkState> {
  const state = await dueStep(walk)
  if (state === null) throw new Error('No step is due.')
  return state
}

const counted = async (walk: TestWalk) => shown((await pass(walk)).last?.counts)

/** Names in the order of UTF-8, in which those of JavaScript differ. */
const NAMES = ['a', 'a b', 'a+', 'a/b', 'ab', 'z', 'é', '\uff5e', '\u{1f600}', '\u{1f600}z']

/** Stores files of each name: with a record, without one, and a record without an object. */
async function mixed({ place: { index } }: TestWalk) {
  const keys = NAMES.flatMap((name) =>
    ['1', '2', '3', '4'].map((i) => parseObjectKey(`managed/${name}${i}`)),
  )
  for (const [i, key] of keys.entries()) {
    const object = bucket.put(key, OLD)
    if (i % 4 !== 1) await index.put(recordOf(key, object))
    // So few records are without an object that nobody has to say go on.
    if (i % 4 === 2) bucket.objects.delete(key)
  }
  return {
    objects: 30,
    records: 30,
    unrecorded: 10,
    ownerless: 10,
    gone: 10,
    recorded: 10,
    dropped: 10,
  }
}

describe.each<[string, () => FileIndex]>([
  ['Workers KV', () => kvFileIndex(env.FILE_INDEX)],
  ['D1', () => d1FileIndex(testDatabase)],
])('beside an index in %s', (_, open) => {
  it.each([3, 7, 1000])(
    'finds the same on pages of %s, in the order of UTF-8',
    async (pageSize) => {
      const index = open()
      // Pages of the index are as small as those of the bucket.
      const small = {
        ...index,
        list: (input: Parameters<FileIndex['list']>[0]) =>
          index.list({ ...input, limit: pageSize }),
      }
      const walk = testWalk({ place: { index: small }, pageSize })
      const expected = await mixed(walk)
      expect(await counted(walk)).toEqual(expected)
      expect(await counted(walk)).toEqual({ objects: 30, records: 30, ownerless: 10 })
    },
  )
})

describe('the pages of a walk', () => {
  it('end where the requests of a step end, and the next step goes on there', async () => {
    const walk = testWalk({ pageSize: 40, maxRequests: 26 })
    for (let i = 0; i < 40; i++) bucket.put(generated(i), OLD)
    const counts: number[] = []
    await beginPass(walk)
    while ((await stateOf(walk)).phase === 'objects') {
      const before = bucket.asked.length
      counts.push((await step(walk)).counts.recorded)
      expect(bucket.asked.length - before).toBeLessThanOrEqual(26)
    }
    expect(counts.slice(0, 2)).toEqual([6, 12])
    expect((await stateOf(walk)).counts).toMatchObject({
      objects: 40,
      unrecorded: 40,
      recorded: 40,
    })
  })

  it('end where the operations of the index end', async () => {
    const walk = testWalk({ pageSize: 40, maxOperations: 45 })
    for (let i = 0; i < 40; i++) bucket.put(generated(i), OLD)
    await beginPass(walk)
    expect((await step(walk)).counts).toMatchObject({ objects: 6, recorded: 6 })
  })

  it('end earlier if each change sends a webhook', async () => {
    let sent = 0
    const announce = async () => {
      sent += 1
    }
    const walk = testWalk({ maxRequests: 45, place: { announce }, eventRequests: 1 })
    for (let i = 0; i < 40; i++) bucket.put(generated(i), OLD)
    await beginPass(walk)
    expect((await step(walk)).counts.recorded).toBe(8)
    expect(bucket.asked.length + sent).toBeLessThanOrEqual(45)
  })

  it.each([
    ['a minute', Number.POSITIVE_INFINITY, 60],
    ['ten seconds before the deadline of its request', 25_000, 15],
  ])(
    'end after %s, so that a slow bucket costs no lease and no answer',
    async (_, left, seconds) => {
      const walk = testWalk()
      for (let i = 0; i < 300; i++) bucket.put(generated(i), OLD)
      bucket.uploads = Array.from({ length: 300 }, (_, i) => ({
        ...{ key: generated(), id: `${i}`, time: NOON - 9 * DAY },
      }))
      bucket.before = () => void vi.setSystemTime(Date.now() + 1000)
      const slowStep = async (state: WalkState) => {
        vi.useFakeTimers({ now: NOON, toFake: ['Date'] })
        const result = await stepWalk(walk, state, new RequestTime(NOON + left))
        expect(result.state.failure).toBe(null)
        return { ...result.state, seconds: (Date.now() - NOON) / 1000 }
      }
      const first = await slowStep(startPass(ORDER, '', at(0)))
      expect(first.counts.recorded).toBeGreaterThan(0)
      // Six at once, with three requests each.
      expect(first.seconds).toBeLessThan(seconds + 18)
      const second = await slowStep(first)
      expect(second.counts.recorded).toBeGreaterThan(first.counts.recorded)
      const { counts } = await slowStep({ ...second, phase: 'uploads', after: null })
      expect(counts.aborted).toBeGreaterThan(seconds - 5)
      expect(counts.aborted).toBeLessThanOrEqual(seconds)
    },
  )

  it('go on where they were if the index has to be read from its start', async () => {
    const walk = testWalk({ pageSize: 2 })
    const key = (i: number) => `managed/${String(i).padStart(4, '0')}`
    const object = bucket.put('others/a', OLD)
    for (let i = 0; i < 700; i++) await walk.place.index.put(recordOf(key(i), object))
    for (let i = 650; i < 700; i++) bucket.put(key(i), OLD, object)
    // Its cursor has expired.
    const state = startPass(ORDER, '', at(0))
    await walk.store.begin(walk.name, { ...state, after: key(679) }, false)
    await steps(walk, 0, 0)
    expect(shown((await stateOf(walk)).counts)).toMatchObject({ objects: 21, records: 20 })
  })

  it('are worked on six at once', async () => {
    const walk = testWalk()
    for (let i = 0; i < 20; i++) bucket.put(generated(), OLD)
    let [running, most] = [0, 0]
    bucket.before = async ({ operation }) => {
      if (operation !== 'HEAD') return undefined
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running -= 1
      return undefined
    }
    await pass(walk)
    expect(most).toBe(6)
  })

  it('read at most five pages of the index in a step, and lose no record', async () => {
    const index = memoryFileIndex()
    const list = vi.fn((input: Parameters<FileIndex['list']>[0]) =>
      index.list({ ...input, limit: 3 }),
    )
    const walk = testWalk({ pageSize: 2, place: { index: { ...index, list } } })
    const object = bucket.put('managed/zz', OLD)
    await index.put(recordOf('managed/zz', object))
    for (let i = 10; i < 50; i++)
      await index.put(recordOf(`managed/${i}`, object, { createdAt: at(0).toISOString() }))
    await beginPass(walk)
    const first = await step(walk)
    expect(list).toHaveBeenCalledTimes(5)
    expect(first).toMatchObject({ after: 'managed/24', counts: { records: 15, objects: 0 } })
    expect(await counted(walk)).toEqual({ objects: 1, records: 41 })
  })

  it('go on behind a page of keys that no URL can name, which are counted', async () => {
    const walk = testWalk({ pageSize: 2 })
    for (const key of ['a/../1', 'a/../2', 'a/../3', 'b']) bucket.put(key, OLD)
    expect(await counted(walk)).toEqual({ objects: 1, unmanaged: 1, unreadable: 3 })
  })

  it('go on where the last key of a page can not be decoded', async () => {
    const walk = testWalk({ pageSize: 2 })
    const [one, two, three] = ['managed/a', 'managed/b', 'managed/c'].map((key) => ({
      ...{ key, ...bucket.put(key, OLD) },
    }))
    bucket.before = async ({ operation }) => {
      if (operation !== 'GET list-type' || !one || !two || !three) return undefined
      const page = bucket.count(operation) === 1 ? [one, two] : [two, three]
      const text = await listOf(page, bucket.count(operation) === 1).text()
      return new Response(text.replace('managed%2Fb', 'managed%2Fa%FF'))
    }
    expect(await counted(walk)).toMatchObject({ objects: 2, recorded: 2 })
  })

  it("count an index's unreadable entries once, also on a page that is read twice", async () => {
    const { strayEntries: _, ...index } = memoryFileIndex()
    for (const key of ['managed/1', 'managed/2', 'managed/3'])
      await index.put(recordOf(key, bucket.put(key, OLD)))
    const list: FileIndex['list'] = async (input) => ({
      ...(await index.list(input)),
      unreadable: 2,
    })
    const walk = testWalk({ pageSize: 1, place: { index: { ...index, list } } })
    expect(await counted(walk)).toMatchObject({ records: 3, unreadable: 2 })
  })

  it('find one file for both spellings of a key in a bucket that normalizes keys', async () => {
    const normalizing = testBucket({ normalizesKeys: true, managedPrefixes: ['m/'] })
    const walk = testWalk({ place: { bucket: normalizing } })
    const [known, found] = ['m/\u00e9', 'm/\u00fc'] as const
    const object = bucket.put(known.normalize('NFD'), OLD)
    bucket.objects.set(found.normalize('NFD'), bucket.put(found, OLD))
    bucket.objects.delete(found)
    await walk.place.index.put(recordOf(known, object))
    // Its list is in the order of what it stores, and shows what was sent.
    bucket.before = ({ operation, key }) => {
      if (operation === 'GET list-type')
        return listOf([...bucket.objects].map(([key, one]) => ({ key, ...one })))
      const stored = bucket.objects.get(key.normalize('NFD'))
      if (stored) bucket.objects.set(key, stored)
      return undefined
    }
    expect(await counted(walk)).toEqual({
      ...{ objects: 2, records: 1, unrecorded: 1, ownerless: 1, recorded: 1 },
    })
    expect(await walk.place.index.get('files', parseObjectKey(found))).not.toBe(null)
  })

  it('are an error if the bucket or the index does not list in the order of UTF-8', async () => {
    const walk = testWalk()
    const objects = ['managed/b', 'managed/a'].map((key) => ({ key, ...bucket.put(key, OLD) }))
    bucket.before = ({ operation }) => (operation === 'GET list-type' ? listOf(objects) : undefined)
    await beginPass(walk)
    expect(await step(walk)).toMatchObject({
      ...{ after: null, failures: 1, counts: { objects: 0 } },
      failure: { code: 'storage_error', message: expect.stringMatching(/order/) },
    })
    bucket.before = () => undefined
    const records = objects.map((object) => recordOf(object.key, object))
    const list: FileIndex['list'] = async () => ({ records, cursor: undefined, unreadable: 0 })
    const other = testWalk({ place: { index: { ...memoryFileIndex(), list } } })
    await beginPass(other)
    expect(await step(other)).toMatchObject({
      ...{ failure: { code: 'unavailable', reason: 'index' }, counts: { objects: 0, recorded: 0 } },
    })
  })

  it('are an error if the bucket answers with keys that it has listed before', async () => {
    const walk = testWalk({ pageSize: 1 })
    const [one, two] = ['managed/a', 'managed/b'].map((key) => ({ key, ...bucket.put(key, OLD) }))
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' && one && two
        ? listOf(bucket.count('GET list-type') > 1 ? [one] : [two], true)
        : undefined
    await beginPass(walk)
    await step(walk)
    expect(await step(walk)).toMatchObject({ failure: { code: 'storage_error' } })
  })
})

describe('a failure', () => {
  it("of the index's cursor, three times in a row, starts its list again", async () => {
    const index = memoryFileIndex()
    let isExpired = false
    const list: FileIndex['list'] = async (input) => {
      if (isExpired && input.cursor !== undefined) throw new Error('The cursor has expired.')
      return index.list({ ...input, limit: 2 })
    }
    const walk = testWalk({ pageSize: 1, place: { index: { ...index, list } } })
    for (let i = 0; i < 9; i++)
      await index.put(recordOf(`managed/${i}`, bucket.put(`managed/${i}`, OLD)))
    await beginPass(walk)
    while ((await step(walk)).counts.records < 5);
    const { after } = await stateOf(walk)
    isExpired = true
    for (const [failures, seconds] of [
      [1, 0],
      [2, 5],
      [3, 10],
    ] as const) {
      const state = await dueStep(walk, 1000 * seconds)
      expect(state).toMatchObject({
        after,
        failures,
        failure: { code: 'unavailable', reason: 'index' },
      })
    }
    expect((await stateOf(walk)).indexCursor).toBe(null)
    isExpired = false
    const { last } = await steps(walk, 20_000, HOUR)
    expect(shown(last?.counts)).toEqual({ objects: 9, records: 9 })
  })

  it('of the list leaves everything as it is', async () => {
    const walk = testWalk()
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' ? new Response(null, { status: 503 }) : undefined
    await beginPass(walk)
    const { nextAt: _, failure: __, ...state } = await stateOf(walk)
    const { nextAt, failure, ...left } = await step(walk)
    expect(failure).toMatchObject({ code: 'unavailable', reason: 'storage' })
    expect(nextAt).toBeGreaterThan(NOON)
    expect(left).toEqual({ ...state, failures: 1 })
  })
})
