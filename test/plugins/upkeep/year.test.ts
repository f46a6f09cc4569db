import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../../../src/errors/api-error.ts'
import { type ObjectKey, parseObjectKey } from '../../../src/keys/object-key.ts'
import { startWalk, type Walk } from '../../../src/plugins/upkeep/pass.ts'
import { stepWalk } from '../../../src/plugins/upkeep/walk.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { MemoryBucket } from '../../support/memory-bucket.ts'
import {
  at,
  DAY,
  generated,
  HOUR,
  indexSince,
  NOON,
  pass,
  recordOf,
  testWalk,
} from './support/walks.ts'

afterEach(() => void vi.unstubAllGlobals())

const EXPIRE_SECONDS = 30 * 86_400

// @threat upkeep-expires-confirmed
describe.each([
  ['and its date', async () => null],
  ['but not its date', async () => at(-100 * DAY)],
])('an index that has lost its records, %s', (_, since) => {
  it('is rebuilt, and then nothing of it expires for a year', async () => {
    const bucket = new MemoryBucket()
    const walk = testWalk({
      ...{ index: indexSince(at(-100 * DAY)), mode: 'expire', expireSeconds: EXPIRE_SECONDS },
    })
    // Every hour of three days, one file, and the newest ones after the last pass.
    const upload = async (index: FileIndex, time: number) => {
      const key = generated(time - NOON)
      await index.put(recordOf(key, bucket.put(key, time)))
    }
    for (let hours = 72; hours > 6; hours--) await upload(walk.index, NOON - hours * HOUR)
    const { state: last } = await pass(walk, -6 * HOUR)
    for (let hours = 6; hours > 0; hours--) await upload(walk.index, NOON - hours * HOUR)
    const before = [...bucket.objects.keys()]

    const rebuilt: Walk = { ...walk, mode: 'record', index: { ...indexSince(at(0)), since } }
    let { state, ended } = await pass(rebuilt, HOUR, last)
    expect(ended?.counts.recorded).toBe(72)
    const expiring: Walk = { ...rebuilt, mode: 'expire' }
    let expired = 0
    for (let day = 1; day <= 365; day++) {
      // Others confirm their uploads, so that the rest may expire, and one in ten does not.
      const time = NOON + day * DAY
      await upload(expiring.index, time)
      if (day % 10 === 0) {
        const key = generated(day * DAY)
        await expiring.index.put(recordOf(key, bucket.put(key, time), { status: 'unconfirmed' }))
      }
      ;({ state, ended } = await pass(expiring, day * DAY + 2 * HOUR, state))
      expired += ended?.counts.expired ?? 0
    }
    expect(before.filter((key) => !bucket.objects.has(key))).toEqual([])
    expect(expired).toBe(33)
    expect(bucket.objects.size).toBe(72 + 365 + 3)
  })
})

/**
 * An index like Workers KV in two locations: the second one sees a change 60 seconds later, and a second write to
 * a key within a second is refused.
 */
function laggingIndex(clock: () => number): { readonly near: FileIndex; readonly far: FileIndex } {
  const writes = new Map<string, { readonly time: number; readonly record: FileRecord | null }[]>()
  const write = (key: string, record: FileRecord | null) => {
    const earlier = writes.get(key) ?? []
    if (clock() - (earlier.at(-1)?.time ?? 0) < 1000)
      throw new ApiError('index_unavailable', 'KV PUT failed: 429 Too Many Requests')
    writes.set(key, [...earlier, { time: clock(), record }])
  }
  const open = (lag: number): FileIndex => {
    const read = (key: string) =>
      writes.get(key)?.findLast(({ time }) => time <= clock() - lag)?.record ?? null
    return {
      get: async (_, key) => read(key),
      put: async (record) => {
        write(record.key, record)
        return record
      },
      remove: async (_, key) => write(key, null),
      list: async () => ({
        records: [...writes.keys()].sort().flatMap((key) => read(key) ?? []),
        ...{ cursor: undefined, unreadable: 0 },
      }),
      since: async () => at(-100 * DAY),
    }
  }
  return { near: open(0), far: open(60_000) }
}

describe('with an index like Workers KV, and a walk in another location', () => {
  function locations() {
    const bucket = new MemoryBucket()
    const time = { now: NOON }
    const { near, far } = laggingIndex(() => time.now)
    const walk = testWalk({ index: far, mode: 'expire', expireSeconds: EXPIRE_SECONDS })
    /** Goes on so far, and takes one pass. */
    const later = async (milliseconds: number, state = startWalk(walk, at(0))) => {
      time.now += milliseconds
      return pass(walk, time.now - NOON, state)
    }
    return { bucket, time, near, far, walk, later }
  }
  const add = (bucket: MemoryBucket, key: ObjectKey = generated()) => ({
    key,
    record: recordOf(key, bucket.put(key, NOON - 2 * HOUR)),
  })

  // @threat upkeep-expires-confirmed
  it('never deletes a file that was confirmed in the minute before the walk recorded it', async () => {
    const { bucket, near, later } = locations()
    const { key, record } = add(bucket)
    await near.put(record)
    let { state } = await later(30_000)
    for (let day = 1; day < 100; day++) ({ state } = await later(DAY, state))
    expect(bucket.objects.has(key)).toBe(true)
    expect(await near.get('files', key)).not.toMatchObject({ status: 'unconfirmed' })
    // The owner may record it again at any time.
    await near.put(record)
    for (let day = 1; day < 3; day++) ({ state } = await later(DAY, state))
    expect(await near.get('files', key)).toEqual(record)
  })

  it('keeps a confirmation that it sees, and one of the same second', async () => {
    const { bucket, time, near, walk, later } = locations()
    const { key, record } = add(bucket)
    await near.put(record)
    const { state } = await later(61_000)
    expect(await near.get('files', key)).toEqual(record)
    const other = add(bucket)
    bucket.before = async ({ operation }) => {
      // Between the last look at the index and the write.
      if (operation === 'HEAD' && bucket.count('HEAD') === 1) await near.put(other.record)
      return undefined
    }
    const result = await stepWalk(walk, state, new Date(time.now))
    expect(result.failure).toMatchObject({ code: 'index_unavailable' })
    expect(await near.get('files', other.key)).toEqual(other.record)
  })

  it('drops no record of a file that was uploaded again in the last minute', async () => {
    const { bucket, near, later } = locations()
    const chosen = parseObjectKey('managed/a')
    const { record } = add(bucket, chosen)
    await near.put(record)
    bucket.objects.delete(chosen)
    add(bucket)
    const { state } = await later(DAY)
    expect(state.suspects).toHaveLength(1)
    const newer = recordOf(chosen, bucket.put(chosen, NOON + DAY + 600_000))
    const far = later(600_000, state)
    await near.put(newer)
    await far
    expect(await near.get('files', chosen)).toEqual(newer)
  })

  it('agrees with the bucket at the end', async () => {
    const { bucket, near, later } = locations()
    const files = Array.from({ length: 12 }, () => add(bucket))
    for (const [i, { key, record }] of files.entries()) {
      if (i % 3 > 0) await near.put(record)
      if (i % 3 === 2) bucket.objects.delete(key)
    }
    let { state } = await later(30_000)
    for (let i = 0; i < 4; i++) ({ state } = await later(HOUR, state))
    const { records } = await near.list({ bucket: 'files', prefix: '', limit: 1000 })
    expect(records.map(({ key, etag }) => [key, etag]).sort()).toEqual(
      [...bucket.objects].map(([key, { etag }]) => [key, etag]).sort(),
    )
  })
})
