import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { textOf } from '../../support/links.ts'
import { failNextPurge } from '../../support/purge.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

afterEach(async () => {
  vi.useRealTimers()
  await reset()
})

interface Upload {
  readonly uploadUrl: string
  readonly key: string
  readonly headers: Record<string, string>
}

const worker = testWorker()
const stored = async () => (await env.FILE_INDEX.list()).keys.length

/** The plain browser flow, up to and including the PUT. */
async function upload(fileName: string, body: string, mimetype = 'text/plain'): Promise<Upload> {
  const asked = await worker.post('/files/upload-url', { fileName, mimetype })
  const answer: Upload = await asked.json()
  const put = await fetch(answer.uploadUrl, {
    method: 'PUT',
    headers: { 'Content-Type': mimetype },
    body,
  })
  expect(put.status).toBe(200)
  return answer
}

it('uploads, records, shows, lists and deletes a file', async () => {
  const { key, headers } = await upload('My Photo.JPG', 'pixels', 'image/jpeg')
  expect(key).toMatch(/^uploads\/[0-9a-z]{20}-my-photo\.jpg$/)
  expect(headers).toEqual({ 'Content-Type': 'image/jpeg' })

  const recorded = await worker.post('/files', { key, name: 'My Photo.JPG' })
  expect(recorded.status).toBe(201)
  const record: FileRecord = await recorded.json()
  expect(record).toEqual({
    key,
    bucket: 'files',
    name: 'My Photo.JPG',
    size: 6,
    mimetype: 'image/jpeg',
    etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
    owner: 'localhost',
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
  })
  expect(recorded.headers.get('Location')).toBe(`/files/${encodeURIComponent(key)}?bucket=files`)

  const path = `/files/${encodeURIComponent(key)}`
  const { url }: { url: string } = await (await worker.fetch(`${path}/url`)).json()
  const shown = await fetch(url)
  expect(await textOf(shown)).toBe('pixels')
  expect(shown.headers.get('Content-Type')).toBe('image/jpeg')
  expect(await (await worker.fetch('/files')).json()).toEqual({ files: [record] })
  expect(await (await worker.fetch(path)).json()).toEqual(record)

  for (let i = 0; i < 2; i++)
    expect((await worker.fetch(path, { method: 'DELETE' })).status).toBe(204)
  expect((await fetch(url)).status).toBe(404)
  expect((await worker.fetch(path)).status).toBe(404)
  expect(await (await worker.fetch('/files')).json()).toEqual({ files: [] })
})

it('answers an upload with everything that a client needs', async () => {
  const now = Date.parse('2026-11-24T12:00:00Z')
  vi.useFakeTimers({ now, toFake: ['Date'] })
  const response = await worker.post('/files/upload-url', {
    fileName: 'a.txt',
    mimetype: 'text/plain',
    size: 3,
    sha256: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
    metadata: { author: 'Zoë' },
    cacheControl: 'private, max-age=60',
    directory: 'x/y',
    overwrite: false,
    expiresIn: 60,
    bucket: 'files',
  })
  const answer: Record<string, unknown> = await response.json()
  expect(answer).toEqual({
    uploadUrl: expect.stringContaining('/files/uploads/x/y/'),
    key: expect.stringMatching(/^uploads\/x\/y\//),
    bucket: 'files',
    method: 'PUT',
    headers: {
      'Content-Type': 'text/plain',
      'Cache-Control': 'private, max-age=60',
      'If-None-Match': '*',
      'x-amz-checksum-sha256': 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
      'x-amz-meta-author': '=?UTF-8?B?Wm/Dqw==?=',
    },
    expiresIn: 60,
    expiresAt: new Date(now + 60_000).toISOString(),
  })
  expect(new URL(String(answer.uploadUrl)).searchParams.get('X-Amz-SignedHeaders')).toBe(
    'cache-control;content-length;content-type;host;if-none-match;x-amz-checksum-sha256;x-amz-meta-author',
  )
})

// @threat copy-undeleted
it('keeps the record and reports it when the edge copy could not be purged', async () => {
  const { key } = await upload('a.txt', 'a')
  await worker.post('/files', { key, name: 'a.txt' })
  const path = `/files/${encodeURIComponent(key)}`
  const purge = failNextPurge(new Error('rate limited'))
  const refused = await worker.fetch(path, { method: 'DELETE' })
  expect(purge).toHaveBeenCalledWith('files', [key])
  expect(await refused.json()).toMatchObject({ code: 'unavailable', reason: 'purge' })
  expect(refused.headers.get('Retry-After')).toBe('60')
  expect(await stored()).toBe(1)
  expect((await worker.fetch(path, { method: 'DELETE' })).status).toBe(204)
  expect(await stored()).toBe(0)
})

describe('POST /files', () => {
  it('records nothing for an object that does not exist', async () => {
    const response = await worker.post('/files', { key: 'uploads/no.txt', name: 'no' })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'object_not_found' })
    expect(await stored()).toBe(0)
  })

  it('changes nothing when repeated, even with another name', async () => {
    const { key } = await upload('a.txt', 'a')
    const first = await (await worker.post('/files', { key, name: 'first' })).json()
    const again = await worker.post('/files', { key, name: 'second' })
    expect(again.status).toBe(201)
    expect(await again.json()).toEqual(first)
    await env.FILE_INDEX.delete(`file:files:${key}`)
    expect(await (await worker.post('/files', { key, name: 'first' })).json()).toEqual(first)
  })

  it('records what the bucket has, and records it again when the object has changed', async () => {
    const key = 'plain/changed.bin'
    await bucketFetch(key, { method: 'PUT', body: 'one', headers: { 'Content-Type': 'image/png' } })
    const one = await (await worker.post('/files', { key, name: 'n' })).json()
    expect(one).toMatchObject({ size: 3, mimetype: 'image/png' })
    await bucketFetch(key, {
      method: 'PUT',
      body: 'other',
      headers: { 'Content-Type': 'text/csv' },
    })
    const other = await (await worker.post('/files', { key, name: 'n' })).json()
    expect(other).toMatchObject({ size: 5, mimetype: 'text/csv' })
    expect(await (await worker.fetch(`/files/${key}`)).json()).toEqual(other)
  })

  it('refuses a key that is too long for the index, and keeps the object', async () => {
    const key = ['long', 'k'.repeat(200), 'k'.repeat(200), 'k'.repeat(200)].join('/')
    await bucketFetch(key, { method: 'PUT', body: 'x' })
    const response = await worker.post('/files', { key, name: 'n' })
    expect(await response.json()).toMatchObject({ code: 'key_not_indexable' })
    expect(await (await bucketFetch(key)).text()).toBe('x')
    expect((await worker.fetch(`/files/${encodeURIComponent(key)}/url`)).status).toBe(200)
    expect(await stored()).toBe(0)
  })
})

describe('GET /files/:key', () => {
  it('falls back to the bucket for an object that was never recorded', async () => {
    await bucketFetch('old/photo.png', { method: 'PUT', body: 'abc' })
    expect(await (await worker.fetch('/files/old/photo.png')).json()).toMatchObject({
      key: 'old/photo.png',
      name: 'photo.png',
      size: 3,
      owner: null,
    })
    expect(await stored()).toBe(0)
  })
})

describe('GET /files', () => {
  const fill = async (count: number, prefix = '') => {
    const record = {
      size: 1,
      mimetype: 'a/b',
      etag: '"e"',
      owner: null,
      createdAt: '2026-11-24T00:00:00.000Z',
    }
    const keys = Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(6, '0')}`)
    await Promise.all(
      keys.map((key) =>
        env.FILE_INDEX.put(`file:files:${key}`, '', { metadata: { v: 1, name: key, ...record } }),
      ),
    )
    return keys
  }
  const list = async (query: string): Promise<{ files: FileRecord[]; cursor?: string }> =>
    (await worker.fetch(`/files?${query}`)).json()

  it('pages over more than a thousand files without gaps or repeats', async () => {
    const keys = await fill(1205)
    const seen: string[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = await list(`limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`)
      seen.push(...page.files.map(({ key }) => key))
      cursor = page.cursor
      pages += 1
    } while (cursor !== undefined)
    expect(seen).toEqual(keys)
    expect(pages).toBe(3)
  })

  it('lists 100 files by default, and at most 1000', async () => {
    await fill(1001)
    expect((await list('')).files).toHaveLength(100)
    expect((await list('limit=1000')).files).toHaveLength(1000)
    for (const limit of ['0', '1001', '-1', '1.5', 'x', ''])
      expect(await list(`limit=${limit}`), limit).toMatchObject({ code: 'invalid_request' })
  })

  it('lists generated keys newest first', async () => {
    const names = ['first.txt', 'second.txt', 'third.txt']
    for (const name of names) {
      const { key } = await upload(name, name)
      await worker.post('/files', { key, name })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const { files } = await list('prefix=uploads/')
    expect(files.map(({ name }) => name)).toEqual(names.toReversed())
  })

  it('lists only keys that start with the prefix, in its own bucket', async () => {
    await fill(2, 'a/')
    await fill(3, 'ab/')
    const two = testWorker({ BUCKETS: { files: s3rverBucket(), other: s3rverBucket() } })
    expect((await list('prefix=a/')).files).toHaveLength(2)
    expect((await list('prefix=a')).files).toHaveLength(5)
    expect((await list('prefix=b')).files).toHaveLength(0)
    expect(await (await two.fetch('/files?bucket=other')).json()).toEqual({ files: [] })
  })

  it('refuses a cursor that was changed', async () => {
    await fill(3)
    const { cursor = '' } = await list('limit=1')
    for (const bad of [cursor.slice(1), `${cursor}x`, 'x', cursor.replace('.', '')])
      expect(await list(`cursor=${encodeURIComponent(bad)}`), bad).toMatchObject({
        code: 'invalid_cursor',
      })
  })

  it('skips invalid records, and lists everything else', async () => {
    const keys = await fill(2)
    await env.FILE_INDEX.put('file:files:000000x', '', { metadata: { name: 7 } })
    expect((await list('')).files.map(({ key }) => key)).toEqual(keys)
  })
})
