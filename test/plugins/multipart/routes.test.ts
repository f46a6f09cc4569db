import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FileRecord } from '../../../src/records/file-record.ts'
import { bucketFetch } from '../../support/bucket.ts'
import { partUrls, putPart, type StartedUpload, startUpload } from '../../support/parts.ts'
import { s3Error, scriptedBucket } from '../../support/scripted-bucket.ts'
import { verifyPresigned } from '../../support/sigv4-verifier.ts'
import { testWorker } from '../../support/worker.ts'

const MIB = 1024 ** 2
const NAMES = ['key', 'bucket', 'uploadId', 'partSize', 'partCount', 'expiresAt']
const worker = testWorker()
const S3RVER = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', region: 'us-east-1' }

const complete = ({ key, uploadId }: StartedUpload, body: object) =>
  worker.post(`/multipart/${uploadId}/complete`, { key, ...body })

/** Reads the object under `key` from s3rver. */
const read = (key: string) => bucketFetch(key)

afterEach(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  await reset()
})

it('uploads a file in two parts, records it and shows it', async () => {
  const size = 8 * MIB + 5
  const upload = await startUpload(worker, { fileName: 'My Film.MP4', mimetype: 'video/mp4', size })
  expect(upload).toMatchObject({ bucket: 'files', partSize: 8 * MIB, partCount: 2 })
  expect(upload.key).toMatch(/^uploads\/[0-9a-z]{20}-my-film\.mp4$/)

  const [first = '', second = ''] = await partUrls(worker, upload, [1, 2])
  const parts = [
    { partNumber: 1, etag: await putPart(first, new Uint8Array(8 * MIB).fill(1)) },
    { partNumber: 2, etag: (await putPart(second, 'hello')).replaceAll('"', '') },
  ]
  const answer = await complete(upload, { parts })
  expect(answer.status).toBe(201)
  expect(answer.headers.get('Location')).toBe(
    `/files/${encodeURIComponent(upload.key)}?bucket=files`,
  )
  const record: FileRecord = await answer.json()
  expect(record).toEqual({
    key: upload.key,
    bucket: 'files',
    name: 'My Film.MP4',
    size,
    mimetype: 'video/mp4',
    etag: expect.stringMatching(/^"[0-9a-f]{32}-2"$/),
    owner: 'localhost',
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
  })
  expect(await (await worker.fetch('/files')).json()).toEqual({ files: [record] })
  const bytes = new Uint8Array(await (await read(upload.key)).arrayBuffer())
  expect(bytes.length).toBe(size)
  expect(bytes.subarray(0, 8 * MIB).every((byte) => byte === 1)).toBe(true)
  expect(new TextDecoder().decode(bytes.subarray(8 * MIB))).toBe('hello')
})

it('returns the same record when it is completed again, even with another name', async () => {
  const upload = await startUpload(worker)
  const [url = ''] = await partUrls(worker, upload, [1])
  const parts = [{ partNumber: 1, etag: await putPart(url, 'hello') }]
  const first = await complete(upload, { parts, name: 'first' })
  const record = await first.json()
  expect(record).toMatchObject({ name: 'first', size: 5 })
  for (const body of [
    { parts },
    { parts, name: 'second' },
    { parts: [{ ...parts[0], etag: 'x' }] },
  ]) {
    const again = await complete(upload, body)
    expect(again.status).toBe(201)
    expect(await again.json()).toEqual(record)
  }
})

it('uploads a file of unknown size in parts of the chosen size, and records its size', async () => {
  const upload = await startUpload(worker, { size: undefined, partSize: 5 * MIB })
  expect(Object.keys(upload)).toEqual(NAMES.filter((name) => name !== 'partCount'))
  expect(upload).toMatchObject({ partSize: 5 * MIB })
  const [first = '', last = ''] = await partUrls(worker, upload, [1, 2])
  const parts = [
    { partNumber: 1, etag: await putPart(first, new Uint8Array(5 * MIB)) },
    { partNumber: 2, etag: await putPart(last, 'hello') },
  ]
  const answer = await complete(upload, { parts })
  expect(answer.status).toBe(201)
  expect(await answer.json()).toMatchObject({ size: 5 * MIB + 5 })
})

describe('POST /multipart', () => {
  it('answers with exactly what a client needs', async () => {
    const now = Math.floor(Date.now() / 1000) * 1000
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const upload = await startUpload(worker, { directory: 'x/y', bucket: 'files' })
    expect(Object.keys(upload)).toEqual(NAMES)
    expect(upload).toMatchObject({
      key: expect.stringMatching(/^uploads\/x\/y\//),
      bucket: 'files',
      uploadId: expect.stringMatching(/^[\w.-]+$/),
      partSize: 8 * MIB,
      partCount: 1,
      expiresAt: new Date(now + 7 * 86_400_000).toISOString(),
    })
  })

  it.each([
    [1, 8 * MIB, 1],
    [80_000 * MIB, 8 * MIB, 10_000],
    [80_000 * MIB + 1, 9 * MIB, 8889],
    [5 * 1024 ** 4, 525 * MIB, 9987],
  ])('cuts %i bytes into parts of %i', async (size, partSize, partCount) => {
    expect(await startUpload(worker, { size })).toMatchObject({ partSize, partCount })
  })

  it('gives the object its type, metadata and Cache-Control', async () => {
    const upload = await startUpload(worker, {
      mimetype: 'text/csv; charset=utf-8',
      metadata: { author: 'Zoë', 'photo-id': '42' },
      cacheControl: 'private, max-age=60',
    })
    const [url = ''] = await partUrls(worker, upload, [1])
    await complete(upload, { parts: [{ partNumber: 1, etag: await putPart(url, 'hello') }] })
    const { headers } = await read(upload.key)
    expect(headers.get('Content-Type')).toBe('text/csv; charset=utf-8')
    expect(headers.get('Cache-Control')).toBe('private, max-age=60')
    expect(headers.get('x-amz-meta-author')).toBe('=?UTF-8?B?Wm/Dqw==?=')
    expect(headers.get('x-amz-meta-photo-id')).toBe('42')
  })

  it('returns an id that is valid until the stated time', async () => {
    const start = Math.floor(Date.now() / 1000) * 1000 + 900
    vi.useFakeTimers({ now: start, toFake: ['Date'] })
    const upload = await startUpload(worker)
    const ask = async (milliseconds: number) => {
      vi.setSystemTime(Date.parse(upload.expiresAt) + milliseconds)
      const body = { key: upload.key, partNumbers: [1] }
      return (await worker.post(`/multipart/${upload.uploadId}/urls`, body)).status
    }
    expect(await ask(-1)).toBe(200)
    expect(await ask(0)).toBe(400)
  })
})

describe('POST /multipart/:uploadId/urls', () => {
  it('signs each part with its own length, in the requested order', async () => {
    const now = new Date(Math.floor(Date.now() / 1000) * 1000)
    vi.useFakeTimers({ now, toFake: ['Date'] })
    const upload = await startUpload(worker, { size: 16 * MIB + 1 })
    const body = { key: upload.key, partNumbers: [3, 1, 2, 1], expiresIn: 60 }
    const response = await worker.post(`/multipart/${upload.uploadId}/urls`, body)
    const page: Record<string, unknown> & { urls: { partNumber: number; url: string }[] } =
      await response.json()
    expect(page).toEqual({
      urls: [3, 1, 2, 1].map((partNumber) => ({ partNumber, url: expect.any(String) })),
      expiresIn: 60,
      expiresAt: new Date(now.getTime() + 60_000).toISOString(),
    })
    for (const { partNumber, url } of page.urls) {
      const length = partNumber === 3 ? 1 : 8 * MIB
      const sent = { method: 'PUT', url, headers: { 'Content-Length': String(length) } }
      expect(verifyPresigned(sent, { ...S3RVER, now })).toMatchObject({
        ok: true,
        path: `/files/${upload.key}`,
        query: { partNumber: String(partNumber), uploadId: expect.stringMatching(/./) },
      })
      expect(url).toContain('X-Amz-SignedHeaders=content-length%3Bhost')
    }
  })

  it('signs for five minutes by default', async () => {
    const upload = await startUpload(worker)
    const [url = ''] = await partUrls(worker, upload, [1])
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('300')
  })

  it('signs a hundred parts at once', async () => {
    const upload = await startUpload(worker, { size: 1000 * MIB })
    const numbers = Array.from({ length: 100 }, (_, i) => i + 1)
    const urls = await partUrls(worker, upload, numbers)
    expect(new Set(urls).size).toBe(100)
  })

  it('lets the bucket refuse a part with a different length', async () => {
    const [url = ''] = await partUrls(worker, await startUpload(worker), [1])
    for (const body of ['hell', 'hello!'])
      expect((await fetch(url, { method: 'PUT', body })).status, body).toBe(403)
  })
})

describe('a bucket whose server lacks an operation', () => {
  it.each([
    ['GET', 'ListParts'],
    ['DELETE', 'AbortMultipartUpload'],
  ] as const)('answers %s with the reason: %s', async (method, operation) => {
    const { key, uploadId } = await startUpload(worker)
    scriptedBucket({ [operation]: s3Error(501, 'NotImplemented') })
    const response = await worker.fetch(`/multipart/${uploadId}?key=${key}`, { method })
    expect(response.status).toBe(501)
    expect(await response.json()).toEqual({
      message: `The server of this bucket does not support ${operation}.`,
      code: 'not_supported',
      requestId: response.headers.get('X-Request-Id'),
    })
  })
})
