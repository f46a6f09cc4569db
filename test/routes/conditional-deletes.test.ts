import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { kvFileIndex } from '../../src/plugins/files/kv-file-index.ts'
import { testRecord } from '../../src/testing/test-record.ts'
import { answer, operations, s3Error, scriptedBucket } from '../support/scripted-bucket.ts'
import { s3rverBucket, testWorker } from '../support/worker.ts'

const KEY = parseObjectKey('conditional/a.txt')
const NEW_KEY = 'uploads/ybqr1sgp7a270ajfewde-my-photo.jpg'
const MISSING = s3Error(404, 'NoSuchKey')
const GONE = { HeadObject: MISSING, GetObject: MISSING }
const object = (etag: string) =>
  answer(200, null, {
    ...{ 'Content-Length': '5', ETag: etag },
    'Last-Modified': 'Tue, 24 Nov 2026 12:00:00 GMT',
  })
const index = kvFileIndex(env.FILE_INDEX)
const known = () => index.get('files', KEY)
const record = (etag: string) => testRecord(KEY, { etag })

const worker = testWorker()
const comparing = () =>
  testWorker({ BUCKETS: { files: { ...s3rverBucket(), conditionalDelete: true } } })
const remove = async (of = worker, etag = '"e1"') => {
  const path = `/files/${encodeURIComponent(KEY)}?etag=${encodeURIComponent(etag)}`
  const response = await of.fetch(path, { method: 'DELETE' })
  return [response.status, response.status === 204 ? null : await response.json()]
}

afterEach(async () => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  await reset()
})

describe('DELETE /files/:key with an ETag', () => {
  // @threat delete-later-upload
  it('deletes nothing of another one, also if its own record is left', async () => {
    await index.put(record('"e1"'))
    const sent = scriptedBucket({ HeadObject: object('"e2"') })
    for (const etag of ['"e1"', 'e1'])
      expect(await remove(worker, etag)).toMatchObject([
        412,
        { code: 'precondition_failed', etag: '"e2"' },
      ])
    expect(operations(sent)).toEqual(['HeadObject', 'HeadObject'])
    expect(await known()).toEqual(record('"e1"'))
  })

  it('looks right before it deletes, and removes the record', async () => {
    await index.put(record('"e1"'))
    let isThere = true
    const sent = scriptedBucket({
      HeadObject: (request) => (isThere ? object('"e1"') : MISSING)(request),
      GetObject: MISSING,
      DeleteObject: (request) => {
        isThere = false
        return answer(204)(request)
      },
    })
    expect(await remove()).toEqual([204, null])
    expect(operations(sent).slice(0, 2)).toEqual(['HeadObject', 'DeleteObject'])
    expect(await known()).toBeNull()
  })

  // @threat delete-later-upload
  it('lets the bucket compare where it can', async () => {
    const sent = scriptedBucket({ ...GONE, DeleteObject: answer(204) })
    expect(await remove(comparing(), 'e1')).toEqual([204, null])
    expect(sent[0]?.headers.get('If-Match')).toBe('"e1"')
    const refusing = scriptedBucket({
      DeleteObject: s3Error(412, 'PreconditionFailed'),
      HeadObject: object('"e2"'),
    })
    expect(await remove(comparing())).toMatchObject([412, { etag: '"e2"' }])
    expect(operations(refusing)).toEqual(['DeleteObject', 'HeadObject'])
  })

  it('finishes the delete of a missing object whose record has that ETag, and no other', async () => {
    scriptedBucket(GONE)
    await index.put(record('"e2"'))
    await index.kept?.put({
      record: record('"e2"'),
      keptAt: '2026-11-24T12:00:00.000Z',
      expiresAt: null,
    })
    expect(await remove()).toEqual([204, null])
    expect(await known()).toEqual(record('"e2"'))
    expect(await index.kept?.get('files', KEY)).not.toBeNull()
    expect(await remove(worker, '"e2"')).toEqual([204, null])
    expect(await known()).toBeNull()
    expect(await index.kept?.get('files', KEY)).toBeNull()
  })
})

describe('POST /files/delete', () => {
  const removeMany = async (body: object) => (await worker.post('/files/delete', body)).json()

  it('deletes files by their ETags next to keys, each with its result', async () => {
    scriptedBucket({ HeadObject: object('"e2"'), DeleteObject: answer(204) })
    expect(
      await removeMany({ keys: [NEW_KEY], files: [{ key: KEY, etag: '"e1"' }, { key: 'c/b' }] }),
    ).toMatchObject({
      deleted: [
        { key: NEW_KEY },
        { key: KEY, error: { code: 'precondition_failed', etag: '"e2"' } },
        { key: 'c/b' },
      ],
    })
  })

  // @threat delete-later-upload
  it('refuses a key that is named twice, once with an ETag', async () => {
    const body = { keys: [KEY], files: [{ key: KEY, etag: '"e1"' }] }
    const sent = scriptedBucket({ ...GONE, DeleteObject: answer(204) })
    expect(await removeMany(body)).toMatchObject({
      deleted: [{ key: KEY }, { error: { code: 'invalid_request' } }],
    })
    expect(operations(sent)[0]).toBe('DeleteObject')
  })

  it('deletes as many by their ETags as the free plan has requests for', async () => {
    const files = Array.from({ length: 40 }, (_, i) => ({
      key: NEW_KEY.replace('photo', `photo-${i}`),
      etag: '"e1"',
    }))
    const sent = scriptedBucket({ HeadObject: object('"e1"'), DeleteObject: answer(204) })
    const { deleted } = (await removeMany({ files })) as {
      deleted: { error?: { code: string } }[]
    }
    const left = deleted.filter(({ error }) => error?.code === 'unavailable')
    expect(left).toHaveLength(40 - 22)
    expect(deleted.filter(({ error }) => error === undefined)).toHaveLength(22)
    expect(sent.length).toBeLessThan(50)
  })

  it.each([
    ['neither', {}],
    ['too many in both', { keys: Array(60).fill('a'), files: Array(60).fill({ key: 'b' }) }],
    ['an empty ETag', { files: [{ key: KEY, etag: '' }] }],
  ])('refuses %s', async (_, body) => {
    expect(await removeMany(body)).toMatchObject({ code: 'invalid_request' })
  })
})
