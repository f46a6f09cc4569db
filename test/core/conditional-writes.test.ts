import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { recordUpload } from '../../src/core/record.ts'
import { removeFiles } from '../../src/core/remove.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { d1FileIndex } from '../../src/plugins/files/d1-file-index.ts'
import { renameFile } from '../../src/plugins/files/rename.ts'
import type { FileIndex } from '../../src/records/file-index.ts'
import { testDatabase } from '../support/d1.ts'
import { placeIn } from '../support/place.ts'
import { answer, operations, scriptedBucket } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const KEY = parseObjectKey('avatars/42.txt')
const NOON = Date.UTC(2026, 10, 24, 12)
const NOW = new Date(NOON + 60_000)
const index = d1FileIndex(testDatabase)
const bucket = testBucket()

/** The HeadObject response for an object that was uploaded `second` seconds after noon. */
const object = (etag: string, second = 0) =>
  answer(200, null, {
    ...{ 'Content-Length': '5', 'Content-Type': 'text/plain', ETag: `"${etag}"` },
    'Last-Modified': new Date(NOON + second * 1000).toUTCString(),
  })
const record = async (name: string, through: FileIndex = index) =>
  (await recordUpload(placeIn(bucket, through, NOW), { key: KEY, name, owner: `key:${name}` }))
    .record
const stored = () => index.get('files', KEY)

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('in D1, the record', () => {
  // @threat record-wrong
  it.each([
    ['the later one of two objects of one second', 0],
    ['a backdated object, such as an older version that the bucket shows again', -3600],
  ])('is that of %s', async (_, second) => {
    scriptedBucket({ HeadObject: object('one') })
    await record('ann')
    const sent = scriptedBucket({ HeadObject: object('two', second) })
    const second2 = await record('bob')
    expect(second2).toMatchObject({ etag: '"two"', owner: 'key:bob' })
    expect(await stored()).toEqual(second2)
    // For the object, about the conflict, and after the write.
    expect(operations(sent)).toEqual(['HeadObject', 'HeadObject', 'HeadObject'])
  })

  // @threat record-wrong
  it('stays that of the later object when a slow writer of the same second comes last', async () => {
    let head = object('one')
    scriptedBucket({ HeadObject: (sent) => head(sent) })
    const slow: FileIndex = {
      ...index,
      put: async (...given) => {
        if (given[0].etag === '"one"') {
          head = object('two')
          await record('bob')
        }
        return index.put(...given)
      },
    }
    const request = { key: KEY, name: 'ann', owner: 'key:ann' }
    const isExpected = ({ etag }: { etag: string }) => etag === '"one"'
    const late = recordUpload(placeIn(bucket, slow, NOW), { ...request, isExpected })
    await expect(late).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toMatchObject({ etag: '"two"', owner: 'key:bob' })
  })

  // @threat record-wrong
  it('is written only a few times while others write', async () => {
    scriptedBucket({ HeadObject: object('mine') })
    const put = vi.fn(async () => null)
    await expect(record('ann', { ...index, put })).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'storage',
    })
    expect(put).toHaveBeenCalledTimes(6)
  })

  // @threat rename-race
  it('of another upload is not the result of a rename', async () => {
    scriptedBucket({ HeadObject: object('one') })
    await record('ann')
    const overtaken: FileIndex = {
      ...index,
      put: async (...given) => {
        scriptedBucket({ HeadObject: object('two', 1) })
        await record('bob')
        return index.put(...given)
      },
    }
    const renamed = renameFile(placeIn(bucket, overtaken, NOW), KEY, 'new', 'key:ann')
    await expect(renamed).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toMatchObject({ name: 'bob', owner: 'key:bob' })
  })

  // @threat file-misattributed
  it("that gets an owner while nobody's file is renamed keeps its name and owner", async () => {
    scriptedBucket({ HeadObject: object('one') })
    const first = await record('ann')
    const nobodys = await index.put({ ...first, owner: null })
    const overtaken: FileIndex = {
      ...index,
      put: async (...given) => {
        await index.put(first)
        return index.put(...given)
      },
    }
    const renamed = renameFile(placeIn(bucket, overtaken, NOW), KEY, 'new', null)
    expect(nobodys?.owner).toBeNull()
    await expect(renamed).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toEqual(first)
  })

  /** The index, but `meanwhile` something happens once before the next write. */
  const overtakenBy = (meanwhile: () => Promise<unknown>): FileIndex => {
    let isDone = false
    const once = async () => {
      if (isDone) return
      isDone = true
      await meanwhile()
    }
    return {
      ...index,
      put: async (...given) => {
        await once()
        return index.put(...given)
      },
      remove: async (...given) => {
        await once()
        return index.remove(...given)
      },
    }
  }
  const BOBS = { name: 'bob', owner: 'key:bob', etag: '"one"' }

  // @threat file-misattributed
  it('of the proven owner stays when who claimed the file renames it meanwhile', async () => {
    scriptedBucket({ HeadObject: object('one') })
    await record('ann')
    const through = overtakenBy(() => record('bob'))
    const renamed = renameFile(placeIn(bucket, through, NOW), KEY, 'new', 'key:ann')
    await expect(renamed).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toMatchObject(BOBS)
  })

  // @threat file-misattributed
  it.each([true, false])(
    'of the proven owner stays when somebody claims the file meanwhile, who may those of others: %s',
    async (ofOthers) => {
      scriptedBucket({ HeadObject: object('one') })
      const limits = { maxBytes: null, allowedTypes: null }
      const request = {
        ...{ key: KEY, name: 'ann', owner: 'key:ann' },
        claim: () => ({ ofOthers, limits }),
      }
      const through = overtakenBy(() => record('bob'))
      const claimed = recordUpload(placeIn(bucket, through, NOW), request)
      if (ofOthers) expect((await claimed).record).toMatchObject(BOBS)
      else await expect(claimed).rejects.toMatchObject({ code: 'forbidden' })
      expect(await stored()).toMatchObject(BOBS)
    },
  )

  // @threat file-misattributed
  it('is that of the proven owner when somebody claims the file meanwhile, or has claimed it', async () => {
    scriptedBucket({ HeadObject: object('one') })
    expect(
      await record(
        'bob',
        overtakenBy(() => record('ann')),
      ),
    ).toMatchObject(BOBS)
    expect(await stored()).toMatchObject(BOBS)
    const request = { key: KEY, name: 'ann', owner: 'key:ann' }
    const { record: anns } = await recordUpload(placeIn(bucket, index, NOW), request)
    expect(await stored()).toEqual(anns)
  })

  // @threat rename-race
  it('keeps a new name when its owner repeats the record meanwhile', async () => {
    scriptedBucket({ HeadObject: object('one') })
    await record('ann')
    const through = overtakenBy(() =>
      renameFile(placeIn(bucket, index, NOW), KEY, 'new', 'key:ann'),
    )
    expect(await record('ann', through)).toMatchObject({ name: 'new' })
    expect(await stored()).toMatchObject({ name: 'new', owner: 'key:ann' })
  })

  // @threat rename-race
  it('has the last of two new names', async () => {
    scriptedBucket({ HeadObject: object('one') })
    await record('ann')
    const rename = (name: string, through = index) =>
      renameFile(placeIn(bucket, through, NOW), KEY, name, 'key:ann')
    const last = await rename(
      'second',
      overtakenBy(() => rename('first')),
    )
    expect(last).toMatchObject({ name: 'second' })
    expect(await stored()).toEqual(last)
  })

  // @threat file-misattributed
  it('of the same bytes, uploaded by somebody else within a second, stays theirs after a delete', async () => {
    const there = object('one')
    let head = there
    const deleted = () => {
      head = answer(404)
      return new Response(null, { status: 204 })
    }
    scriptedBucket({ HeadObject: (sent) => head(sent), DeleteObject: deleted })
    await record('ann')
    const through = overtakenBy(async () => {
      head = there
      await record('bob')
    })
    const removal = { index: through, purge: async () => {}, announce: null }
    expect((await removeFiles(bucket, [{ key: KEY }], removal, NOW)).size).toBe(0)
    expect(await stored()).toMatchObject(BOBS)
  })
})
