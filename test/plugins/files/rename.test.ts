import { reset } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { recordUpload } from '../../../src/core/record.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { renameFile } from '../../../src/plugins/files/rename.ts'
import type { FileIndex } from '../../../src/records/file-index.ts'
import { withEachIndex } from '../../support/each-index.ts'
import { placeIn } from '../../support/place.ts'
import { answer, scriptedBucket } from '../../support/scripted-bucket.ts'
import { testBucket } from '../../support/test-bucket.ts'

const KEY = parseObjectKey('uploads/a.txt')
const UPLOADED = new Date('2026-11-24T12:00:00Z')
const LATER = new Date('2026-11-24T12:30:00Z')
const bucket = testBucket()

withEachIndex((index) => {
  const object = (etag = '"e1"', at = UPLOADED) =>
    answer(200, null, {
      'Content-Length': '5',
      'Content-Type': 'text/plain',
      ETag: etag,
      'Last-Modified': at.toUTCString(),
    })
  const MISSING = answer(404)

  const record = () =>
    recordUpload(placeIn(bucket, index, UPLOADED), { key: KEY, name: 'a.txt', owner: 'key:ann' })
  const rename = (through: FileIndex = index, name = 'b.txt', owner: string | null = 'key:ann') =>
    renameFile(placeIn(bucket, through, LATER), KEY, name, owner)
  const stored = () => index.get('files', KEY)

  beforeEach(() => {
    scriptedBucket({ HeadObject: object() })
  })
  afterEach(async () => {
    vi.unstubAllGlobals()
    vi.restoreAllMocks()
    await reset()
  })

  it('changes only the name', async () => {
    const before = (await record()).record
    const after = { ...before, name: 'b.txt' }
    expect(await rename()).toEqual(after)
    expect(await stored()).toEqual(after)
  })

  // @threat confirmed-becomes-found
  it.each(['a.txt', 'b.txt'])(
    'confirms a record, and says so, also with the name %s',
    async (name) => {
      const { record: before } = await record()
      await index.put({ ...before, status: 'found' })
      const told: unknown[] = []
      const announce = async ({ type }: { type: string }) => void told.push(type)
      const after = await renameFile(placeIn(bucket, index, LATER, announce), KEY, name, null)
      expect(after).toStrictEqual({ ...before, name })
      expect(await stored()).toStrictEqual(after)
      await renameFile(placeIn(bucket, index, LATER, announce), KEY, name, null)
      expect(told).toEqual(['renamed'])
    },
  )

  it('keeps its result when the upload is recorded again', async () => {
    await record()
    await rename()
    await record()
    expect(await stored()).toMatchObject({ name: 'b.txt', owner: 'key:ann' })
  })

  it('returns the name as stored, which KV shortens', async () => {
    await record()
    const renamed = await rename(index, 'é'.repeat(1000))
    expect(renamed.name.length < 1000).toBe(index.lagSeconds !== undefined)
    expect(await stored()).toEqual(renamed)
  })

  it('creates no record, so that the owner is always who uploaded the file', async () => {
    await expect(rename()).rejects.toMatchObject({
      code: 'object_not_found',
      message: expect.stringContaining('POST /files'),
    })
    expect(await stored()).toBeNull()
  })

  it('leaves the record of a missing object', async () => {
    await record()
    scriptedBucket({ HeadObject: MISSING, GetObject: MISSING })
    await expect(rename()).rejects.toMatchObject({ code: 'object_not_found' })
  })

  // @threat rename-race
  it.each([
    ['other bytes', object('"e2"')],
    ['the same bytes', object('"e1"', LATER)],
  ])('leaves a record whose object was replaced by %s', async (_, replacement) => {
    const before = (await record()).record
    scriptedBucket({ HeadObject: replacement })
    await expect(rename()).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toEqual(before)
  })

  // @threat rename-race
  it('repairs the record of an object that is replaced meanwhile', async () => {
    await record()
    scriptedBucket({ HeadObject: [object(), object('"e2"', LATER)] })
    await expect(rename(index)).rejects.toMatchObject({ code: 'file_replaced' })
    expect(await stored()).toMatchObject({
      etag: '"e2"',
      createdAt: LATER.toISOString(),
      owner: null,
      name: 'a.txt',
    })
    const again = { key: KEY, name: 'new.txt', owner: 'key:bob' }
    const { record: repaired } = await recordUpload(placeIn(bucket, index, LATER), again)
    expect(repaired).toMatchObject({ name: 'new.txt', owner: 'key:bob' })
  })

  describe('a rename while another upload replaces the object', () => {
    const bobs = { key: KEY, name: 'bob.txt', owner: 'key:bob' }
    const replace = async (etag: string) => {
      scriptedBucket({ HeadObject: object(etag) })
      return (await recordUpload(placeIn(bucket, index, LATER), bobs)).record
    }

    // @threat rename-race
    it.each([
      ['other bytes', '"e2"'],
      ['the same bytes in the same second', '"e1"'],
    ])('keeps the record that came first, of %s', async (_, etag) => {
      await record()
      let newer: unknown
      const overtaken: FileIndex = {
        ...index,
        async get(alias, key) {
          const seen = await index.get(alias, key)
          if (newer === undefined) {
            newer = null
            await index.remove(alias, key)
            newer = await replace(etag)
          }
          return seen
        },
      }
      await expect(rename(overtaken, 'mine.txt', null)).rejects.toMatchObject({
        code: 'file_replaced',
      })
      expect(await stored()).toEqual(newer)
    })

    // @threat rename-race
    it('keeps the record that comes while it writes', async () => {
      await record()
      const overtaken: FileIndex = {
        ...index,
        async put(file, change) {
          const written = await index.put(file, change)
          if (file.etag === '"e1"') await replace('"e2"')
          return written
        },
      }
      await expect(rename(overtaken)).rejects.toMatchObject({
        code: 'file_replaced',
      })
      expect(await stored()).toMatchObject({ etag: '"e2"', name: 'bob.txt', owner: 'key:bob' })
    })
  })

  describe("another owner's file", () => {
    // @threat file-misattributed
    it('is only renamed by a caller who may rename the files of everyone', async () => {
      const before = (await record()).record
      await expect(rename(index, 'b.txt', 'key:bob')).rejects.toMatchObject({ code: 'forbidden' })
      expect(await stored()).toEqual(before)
      expect(await rename(index, 'b.txt', null)).toEqual({ ...before, name: 'b.txt' })
    })

    // @threat file-misattributed
    it('does not reveal whether its object exists', async () => {
      await record()
      scriptedBucket({ HeadObject: MISSING, GetObject: MISSING })
      await expect(rename(index, 'b.txt', 'key:bob')).rejects.toMatchObject({ code: 'forbidden' })
    })

    // @threat file-misattributed
    it('is also one that nobody owns', async () => {
      const before = (await record()).record
      await index.put({ ...before, owner: null })
      await expect(rename()).rejects.toMatchObject({ code: 'forbidden' })
    })
  })

  it('removes the record of an object that is deleted meanwhile', async () => {
    await record()
    scriptedBucket({ HeadObject: [object(), MISSING], GetObject: MISSING })
    await expect(rename()).rejects.toMatchObject({ code: 'object_not_found' })
    expect(await stored()).toBeNull()
  })

  it('reports a failure of the index', async () => {
    await record()
    const failing = { ...index, put: () => Promise.reject(new Error('down')) }
    await expect(rename(failing)).rejects.toThrow('down')
  })
})
