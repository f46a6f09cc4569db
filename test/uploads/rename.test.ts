import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { kvFileIndex } from '../../src/cloudflare/kv-file-index.ts'
import type { FileIndex } from '../../src/file-index/file-index.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { recordUpload } from '../../src/uploads/record.ts'
import { renameFile } from '../../src/uploads/rename.ts'
import { answer, scriptedBucket } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const KEY = parseObjectKey('uploads/a.txt')
const UPLOADED = new Date('2026-11-24T12:00:00Z')
const LATER = new Date('2026-11-24T12:30:00Z')
const bucket = testBucket()
const index = kvFileIndex(env.FILE_INDEX)

const object = (etag = '"e1"', at = UPLOADED) =>
  answer(200, null, {
    'Content-Length': '5',
    'Content-Type': 'text/plain',
    ETag: etag,
    'Last-Modified': at.toUTCString(),
  })
const MISSING = answer(404)

const record = () =>
  recordUpload(bucket, index, { key: KEY, name: 'a.txt', owner: 'key:ann' }, UPLOADED, null)
const rename = (through: FileIndex = index, name = 'b.txt') =>
  renameFile(bucket, through, KEY, name, LATER)
const stored = () => index.get('files', KEY)

beforeEach(() => {
  scriptedBucket({ HeadObject: object() })
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

it('changes only the name', async () => {
  const before = (await record()).record
  const after = { ...before, name: 'b.txt' }
  expect(await rename()).toEqual(after)
  expect(await stored()).toEqual(after)
})

it('keeps its result when the upload is recorded again', async () => {
  await record()
  await rename()
  await record()
  expect(await stored()).toMatchObject({ name: 'b.txt', owner: 'key:ann' })
})

it('returns the name as stored, shortened to what KV can hold', async () => {
  await record()
  const renamed = await rename(index, 'é'.repeat(1000))
  expect(renamed.name.length).toBeLessThan(1000)
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
  await expect(rename()).rejects.toMatchObject({ code: 'file_replaced' })
  expect(await stored()).toMatchObject({
    etag: '"e2"',
    createdAt: LATER.toISOString(),
    owner: null,
  })
  const again = { key: KEY, name: 'new.txt', owner: 'key:bob' }
  const { record: repaired } = await recordUpload(bucket, index, again, LATER, null)
  expect(repaired).toMatchObject({ name: 'new.txt', owner: 'key:bob' })
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
