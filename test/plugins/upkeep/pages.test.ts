import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/errors/api-error.ts'
import { RequestTime } from '../../../src/errors/deadline.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { d1FileIndex } from '../../../src/plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../../../src/plugins/files/kv-file-index.ts'
import { startWalk, type Walk } from '../../../src/plugins/upkeep/pass.ts'
import type { WalkState } from '../../../src/plugins/upkeep/state.ts'
import { stepWalk } from '../../../src/plugins/upkeep/walk.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { testDatabase } from '../../support/d1.ts'
import { listOf, MemoryBucket } from '../../support/memory-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'
import { at, DAY, generated, HOUR, NOON, pass, recordOf, shown, testWalk } from './support/walks.ts'

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
const step = (walk: Walk, state = startWalk(walk, at(0))) => stepWalk(walk, state, at(0))

/** Names in the order of UTF-8, in which those of JavaScript differ. */
const NAMES = ['a', 'a b', 'a+', 'a/b', 'ab', 'z', 'é', '\uff5e', '\u{1f600}', '\u{1f600}z']

/** Stores files of each name: with a record, without one, and a record without an object. */
async function mixed(walk: Walk) {
  const keys = NAMES.flatMap((name) =>
    ['1', '2', '3', '4'].map((i) => parseObjectKey(`managed/${name}${i}`)),
  )
  for (const [i, key] of keys.entries()) {
    const object = bucket.put(key, OLD)
    if (i % 4 !== 1) await walk.index.put(recordOf(key, object))
    // So few records are without an object that nobody has to say go on.
    if (i % 4 === 2) bucket.objects.delete(key)
  }
  return { objects: 30, records: 30, unrecorded: 10, gone: 10, recorded: 10 }
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
      const walk = testWalk({ index: small, pageSize })
      const expected = await mixed(walk)
      const { ended, state } = await pass(walk, 0)
      expect(shown(ended?.counts)).toEqual(expected)
      expect(state.suspects).toHaveLength(10)
      const again = await pass(walk, 0, state)
      expect(shown(again.ended?.counts)).toEqual({ objects: 30, records: 40, gone: 10 })
    },
  )
})

describe('the pages of a walk', () => {
  it('end where the requests of a step end, and the next step goes on there', async () => {
    const walk = testWalk({ pageSize: 40, maxRequests: 20 })
    for (let i = 0; i < 40; i++) bucket.put(generated(i), OLD)
    const counts: number[] = []
    let { state } = await step(walk)
    counts.push(state.counts.recorded)
    expect(bucket.asked.length).toBeLessThanOrEqual(20)
    while (state.phase === 'objects') {
      const before = bucket.asked.length
      ;({ state } = await step(walk, state))
      expect(bucket.asked.length - before).toBeLessThanOrEqual(20)
      counts.push(state.counts.recorded)
    }
    expect(counts.slice(0, 2)).toEqual([6, 12])
    expect(state.counts).toMatchObject({ objects: 40, unrecorded: 40, recorded: 40 })
  })

  it('end earlier if each change sends a webhook', async () => {
    let sent = 0
    const announce = async () => {
      sent += 1
      return undefined
    }
    const walk = testWalk({ maxRequests: 45, announce, eventRequests: 1 })
    for (let i = 0; i < 40; i++) bucket.put(generated(i), OLD)
    const { state } = await step(walk)
    expect(state.counts.recorded).toBe(11)
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
        const now = new RequestTime(NOON + left)
        const result = await stepWalk(walk, state, now)
        expect(result.failure).toBe(null)
        return { ...result.state, seconds: (Date.now() - NOON) / 1000 }
      }
      const first = await slowStep(startWalk(walk, at(0)))
      expect(first.counts.recorded).toBeGreaterThan(0)
      // Six at once, with three requests each.
      expect(first.seconds).toBeLessThan(seconds + 18)
      const second = await slowStep(first)
      expect(second.counts.recorded).toBeGreaterThan(first.counts.recorded)
      const { counts } = await slowStep({ ...second, phase: 'uploads' })
      expect(counts.aborted).toBeGreaterThan(seconds - 5)
      expect(counts.aborted).toBeLessThanOrEqual(seconds)
    },
  )

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
    await pass(walk, 0)
    expect(most).toBe(6)
  })

  it('read at most five pages of the index in a step, and lose no record', async () => {
    const walk = testWalk({ pageSize: 2 })
    const { index } = walk
    const list = vi.fn((input: Parameters<FileIndex['list']>[0]) =>
      index.list({ ...input, limit: 3 }),
    )
    const object = bucket.put('managed/zz', OLD)
    await index.put(recordOf('managed/zz', object))
    for (let i = 10; i < 50; i++)
      await index.put(recordOf(`managed/${i}`, object, { createdAt: at(0).toISOString() }))
    const first = await step({ ...walk, index: { ...index, list } })
    expect(list).toHaveBeenCalledTimes(5)
    expect(first.state).toMatchObject({ after: 'managed/24', counts: { records: 15, objects: 0 } })
    const { ended } = await pass({ ...walk, index: { ...index, list } }, 0)
    expect(shown(ended?.counts)).toEqual({ objects: 1, records: 41 })
  })

  it('go on behind a page of keys that no URL can name, which are counted', async () => {
    const walk = testWalk({ pageSize: 2 })
    for (const key of ['a/../1', 'a/../2', 'a/../3', 'b']) bucket.put(key, OLD)
    const { ended } = await pass(walk, 0)
    expect(shown(ended?.counts)).toEqual({ objects: 1, unmanaged: 1, unreadable: 3 })
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
    const { ended } = await pass(walk, 0)
    expect(ended?.counts).toMatchObject({ objects: 2, recorded: 2 })
  })

  it("count an index's unreadable entries once, also on a page that is read twice", async () => {
    const walk = testWalk({ pageSize: 1 })
    const { strayEntries: _, ...index } = walk.index
    for (const key of ['managed/1', 'managed/2', 'managed/3'])
      await index.put(recordOf(key, bucket.put(key, OLD)))
    const list: FileIndex['list'] = async (input) => ({
      ...(await index.list(input)),
      unreadable: 2,
    })
    const { ended } = await pass({ ...walk, index: { ...index, list } }, 0)
    expect(ended?.counts).toMatchObject({ records: 3, unreadable: 2 })
  })

  it('find one file for both spellings of a key in a bucket that normalizes keys', async () => {
    const walk = testWalk({ bucket: testBucket({ normalizesKeys: true, managedPrefixes: ['m/'] }) })
    const [known, found] = ['m/\u00e9', 'm/\u00fc'] as const
    const object = bucket.put(known.normalize('NFD'), OLD)
    bucket.objects.set(found.normalize('NFD'), bucket.put(found, OLD))
    bucket.objects.delete(found)
    await walk.index.put(recordOf(known, object))
    // Its list is in the order of what it stores, and shows what was sent.
    bucket.before = ({ operation, key }) => {
      if (operation === 'GET list-type')
        return listOf([...bucket.objects].map(([key, one]) => ({ key, ...one })))
      const stored = bucket.objects.get(key.normalize('NFD'))
      if (stored) bucket.objects.set(key, stored)
      return undefined
    }
    const { ended } = await pass(walk, 0)
    expect(shown(ended?.counts)).toEqual({ objects: 2, records: 1, unrecorded: 1, recorded: 1 })
    expect(await walk.index.get('files', parseObjectKey(found))).not.toBe(null)
  })

  it('are an error if the bucket or the index does not list in the order of UTF-8', async () => {
    const walk = testWalk()
    const objects = ['managed/b', 'managed/a'].map((key) => ({ key, ...bucket.put(key, OLD) }))
    bucket.before = ({ operation }) => (operation === 'GET list-type' ? listOf(objects) : undefined)
    const { failure, state } = await step(walk)
    expect(failure).toMatchObject({
      code: 'storage_error',
      message: expect.stringMatching(/order/),
    })
    expect(state).toMatchObject({ after: null, failures: 1, counts: { objects: 0 } })
    bucket.before = () => undefined
    const records = objects.map((object) => recordOf(object.key, object))
    const list: FileIndex['list'] = async () => ({ records, cursor: undefined, unreadable: 0 })
    const ofIndex = await step({ ...walk, index: { ...walk.index, list } })
    expect(ofIndex.failure).toMatchObject({ code: 'index_unavailable' })
    expect(ofIndex.state.counts).toMatchObject({ objects: 0, recorded: 0 })
  })

  it('are an error if the bucket answers with keys that it has listed before', async () => {
    const walk = testWalk({ pageSize: 1 })
    const [one, two] = ['managed/a', 'managed/b'].map((key) => ({ key, ...bucket.put(key, OLD) }))
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' && one && two
        ? listOf(bucket.count('GET list-type') > 1 ? [one] : [two], true)
        : undefined
    const { state } = await step(walk)
    const { failure } = await step(walk, state)
    expect(failure).toMatchObject({ code: 'storage_error' })
  })
})

describe('a failure', () => {
  const failing = (key: string, code: 'purge_failed' | 'storage_busy' = 'purge_failed') =>
    testWalk({
      announce: async ({ file }) => {
        if (file.key === key) throw new ApiError(code, 'No.')
      },
    })

  it('of one key ends the step before that key, after the others of its chunk are done', async () => {
    const walk = failing('managed/3')
    for (let i = 0; i < 9; i++) bucket.put(`managed/${i}`, OLD)
    const { state, failure } = await step(walk)
    expect(failure).toMatchObject({ code: 'purge_failed' })
    expect(state).toMatchObject({ after: 'managed/2', failures: 1 })
    expect(state.counts).toMatchObject({ objects: 3, recorded: 5 })
    const { records } = await walk.index.list({ bucket: 'files', prefix: '', limit: 10 })
    expect(records.map(({ name }) => name)).toEqual(['0', '1', '2', '4', '5'])
  })

  it('of one key, three times in a row, is counted, and the walk passes over it', async () => {
    const walk = failing('managed/3')
    for (let i = 0; i < 9; i++) bucket.put(`managed/${i}`, OLD)
    let { state } = await step(walk)
    ;({ state } = await step(walk, state))
    expect(state).toMatchObject({ after: 'managed/2', failures: 2 })
    const { state: next, failure } = await step(walk, state)
    expect(failure).toMatchObject({ code: 'purge_failed' })
    expect(next).toMatchObject({
      phase: 'uploads',
      failures: 0,
      counts: { failed: 1, recorded: 8 },
    })
  })

  it('that is not about the key is never passed over', async () => {
    const walk = failing('managed/3', 'storage_busy')
    bucket.put('managed/3', OLD)
    let { state } = await step(walk)
    for (let i = 0; i < 5; i++) ({ state } = await step(walk, state))
    expect(state).toMatchObject({ after: null, failures: 6, counts: { failed: 0 } })
  })

  it("of the index's cursor, three times in a row, starts its list again", async () => {
    const walk = testWalk({ pageSize: 1 })
    const { index } = walk
    for (let i = 0; i < 9; i++) {
      const object = bucket.put(`managed/${i}`, OLD)
      await index.put(recordOf(`managed/${i}`, object))
    }
    let isExpired = false
    const list: FileIndex['list'] = async (input) => {
      if (isExpired && input.cursor !== undefined) throw new Error('The cursor has expired.')
      return index.list({ ...input, limit: 2 })
    }
    const broken = { ...walk, index: { ...index, list } }
    let { state } = await step(broken)
    while (state.counts.records < 5) ({ state } = await step(broken, state))
    const { after } = state
    isExpired = true
    for (const failures of [1, 2, 0]) {
      const result = await step(broken, state)
      expect(result.failure).toMatchObject({ code: 'index_unavailable' })
      state = result.state
      expect(state).toMatchObject({ after, failures })
    }
    expect(state.indexCursor).toBe(null)
    isExpired = false
    const { ended } = await pass(broken, 0, state)
    expect(shown(ended?.counts)).toEqual({ objects: 9, records: 9 })
  })

  it('of the list leaves everything as it is', async () => {
    const walk = testWalk()
    bucket.before = ({ operation }) =>
      operation === 'GET list-type' ? new Response(null, { status: 503 }) : undefined
    const state = startWalk(walk, at(0))
    const result = await step(walk, state)
    expect(result.failure).toMatchObject({ code: 'storage_busy' })
    expect(result.state).toEqual({ ...state, failures: 1 })
  })
})
