import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { MemoryBucket } from '../../support/memory-bucket.ts'
import { DAY, generated, HOUR, NOON, pass, recordOf, shown, testWalk } from './support/walks.ts'

let bucket: MemoryBucket

beforeEach(() => {
  bucket = new MemoryBucket()
})
afterEach(() => void vi.unstubAllGlobals())

describe('mode report', () => {
  it('counts what would be done, and changes nothing', async () => {
    const walk = testWalk({ mode: 'report', expireSeconds: 30 * 86_400 })
    const { index } = walk
    const old = NOON - 40 * DAY
    bucket.put(generated(), old)
    bucket.put('managed/a', old)
    bucket.put('others/a', old)
    bucket.put(generated(1), NOON - 60_000)
    const same = generated(2)
    await index.put(recordOf(same, bucket.put(same, old + 999)))
    const differs = generated(3)
    await index.put(recordOf(differs, bucket.put(differs, old), { size: 6 }))
    const expirable = generated(4)
    await index.put(recordOf(expirable, bucket.put(expirable, old), { status: 'unconfirmed' }))
    const gone = recordOf(generated(5), bucket.put('managed/z', NOON))
    await index.put({ ...gone, createdAt: new Date(old).toISOString() })
    bucket.uploads = [
      { key: generated(6), id: 'old', time: NOON - 9 * DAY },
      { key: generated(7), id: 'new', time: NOON - 7 * DAY },
      { key: 'others/b', id: 'other', time: NOON - 9 * DAY },
    ]
    const put = vi.spyOn(index, 'put')
    const remove = vi.spyOn(index, 'remove')
    const { ended, isDone, state } = await pass(walk, 0)
    expect(isDone).toBe(true)
    expect(shown(ended?.counts)).toEqual({
      ...{ objects: 8, records: 4, unrecorded: 2, young: 2, unmanaged: 1, different: 1, gone: 1 },
      ...{ unconfirmed: 1, expirable: 1, oldUploads: 1 },
    })
    expect(state.suspects).toEqual([])
    expect(put).not.toHaveBeenCalled()
    expect(remove).not.toHaveBeenCalled()
    expect(new Set(bucket.asked.map(({ operation }) => operation))).toEqual(
      new Set(['GET list-type', 'GET uploads']),
    )
  })
})

describe('mode record', () => {
  it('records an object of a generated key or a managed prefix, with its type and its name', async () => {
    const walk = testWalk()
    const key = generated()
    const managed = parseObjectKey('managed/Photo 1.jpg')
    const object = bucket.put(key, NOON - 2 * HOUR)
    bucket.put(managed, NOON - 2 * HOUR, { mimetype: 'image/jpeg' })
    bucket.put('others/a', NOON - 2 * HOUR)
    const { ended } = await pass(walk, 0)
    expect(shown(ended?.counts)).toEqual({ objects: 3, unrecorded: 2, unmanaged: 1, recorded: 2 })
    expect(await walk.index.get('files', key)).toEqual(
      recordOf(key, object, {
        name: expect.stringMatching(/^file-/),
        owner: null,
        status: 'found',
      }),
    )
    expect(await walk.index.get('files', managed)).toMatchObject({
      ...{ name: 'Photo 1.jpg', mimetype: 'image/jpeg', owner: null, status: 'found' },
    })
  })
})
