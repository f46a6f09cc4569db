import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { partUrls, type StartedUpload, startUpload } from '../../support/parts.ts'
import { scriptedBucket } from '../../support/scripted-bucket.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker({
  BUCKETS: {
    files: s3rverBucket(),
    images: { ...s3rverBucket(), maxBytes: 1000, allowedTypes: ['image/*'] },
  },
})
let upload: StartedUpload

beforeAll(async () => {
  upload = await startUpload(worker, { size: 20_000_000 })
})

/** Returns the status and the code of an error, after checking its shape. */
async function refusal(response: Response): Promise<string> {
  const body: Record<string, unknown> = await response.json()
  expect(body).toMatchObject({ message: expect.any(String), requestId: expect.any(String) })
  expect(body).not.toHaveProperty('error')
  return `${response.status} ${body.code}`
}

describe('POST /multipart', () => {
  const ask = (changes: object) =>
    worker.post('/multipart', { fileName: 'a.txt', mimetype: 'text/plain', size: 5, ...changes })

  it('refuses what is invalid or not allowed', async () => {
    for (const [changes, expected] of [
      [{ fileName: '' }, '400 invalid_request'],
      [{ fileName: 'a'.repeat(1025) }, '400 invalid_request'],
      [{ fileName: undefined }, '400 invalid_request'],
      [{ mimetype: undefined }, '400 invalid_request'],
      [{ size: 0 }, '400 invalid_request'],
      [{ size: -1 }, '400 invalid_request'],
      [{ size: 0.5 }, '400 invalid_request'],
      [{ size: '5' }, '400 invalid_request'],
      [{ size: null }, '400 invalid_request'],
      [{ size: 5 * 1024 ** 4 + 1 }, '413 file_too_large'],
      [{ sha256: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=' }, '400 invalid_request'],
      [{ overwrite: false }, '400 invalid_request'],
      [{ expiresIn: 60 }, '400 invalid_request'],
      [{ partSize: 5 * 1024 ** 2 - 1 }, '400 invalid_request'],
      [{ partSize: 5 * 1024 ** 3 + 1 }, '400 invalid_request'],
      [{ partSize: null }, '400 invalid_request'],
      [{ partSize: 5 * 1024 ** 2, size: 50_000 * 1024 ** 2 + 1 }, '400 invalid_request'],
      [{ bucket: 'images', size: undefined }, '400 mimetype_not_allowed'],
      [{ metadata: { 'a b': 'c' } }, '400 invalid_request'],
      [{ metadata: { a: 7 } }, '400 invalid_request'],
      [{ metadata: { a: 'x'.repeat(2048) } }, '400 invalid_request'],
      [{ cacheControl: 'a\r\nb: c' }, '400 invalid_request'],
      [{ directory: 'x/' }, '400 invalid_request'],
      [{ directory: 'x/../y' }, '400 invalid_key'],
      [{ bucket: 'nope' }, '404 unknown_bucket'],
      [{ bucket: '__proto__' }, '404 unknown_bucket'],
      [{ mimetype: 'text' }, '400 invalid_mimetype'],
      [{ mimetype: 'image/png, text/html' }, '400 invalid_mimetype'],
      [{ mimetype: 'text/html', fileName: 'a.png' }, '400 type_mismatch'],
      [{ bucket: 'images' }, '400 mimetype_not_allowed'],
      [{ bucket: 'images', mimetype: 'image/png', size: 1001 }, '413 file_too_large'],
    ] as const) {
      expect.soft(await refusal(await ask(changes)), JSON.stringify(changes)).toBe(expected)
    }
  })

  it('accepts a file at the limits', async () => {
    for (const changes of [
      { size: 1 },
      { size: 5 * 1024 ** 4 },
      { size: undefined },
      { size: undefined, partSize: 5 * 1024 ** 3 },
      { partSize: 5 * 1024 ** 2, size: 50_000 * 1024 ** 2 },
      { bucket: 'images', mimetype: 'image/png', size: undefined },
      { fileName: 'a'.repeat(1024) },
      { fileName: '漢字😀'.repeat(200) },
      { mimetype: 'text/html', fileName: 'a.html' },
      { bucket: 'images', mimetype: 'IMAGE/png', size: 1000 },
    ]) {
      expect.soft((await ask(changes)).status, JSON.stringify(changes)).toBe(200)
    }
  })
})

describe('POST /multipart/:uploadId/urls', () => {
  const ask = (changes: object) =>
    worker.post(`/multipart/${upload.uploadId}/urls`, {
      key: upload.key,
      partNumbers: [1],
      ...changes,
    })

  it('refuses what is invalid', async () => {
    for (const [changes, expected] of [
      [{ partNumbers: undefined }, '400 invalid_request'],
      [{ partNumbers: [] }, '400 invalid_request'],
      [{ partNumbers: Array(101).fill(1) }, '400 invalid_request'],
      [{ partNumbers: [0] }, '400 invalid_request'],
      [{ partNumbers: [-1] }, '400 invalid_request'],
      [{ partNumbers: [1, 10_001] }, '400 invalid_request'],
      [{ partNumbers: ['1'] }, '400 invalid_request'],
      [{ partNumbers: [1.5] }, '400 invalid_request'],
      [{ partNumbers: [null] }, '400 invalid_request'],
      [{ partNumbers: 1 }, '400 invalid_request'],
      [{ partNumbers: [4] }, '400 invalid_part'],
      [{ partNumbers: [1, 2, 3, 10_000] }, '400 invalid_part'],
      [{ key: undefined }, '400 invalid_request'],
      [{ key: '' }, '400 invalid_key'],
      [{ key: 'a/../b' }, '400 invalid_key'],
      [{ expiresIn: 0 }, '400 invalid_expiry'],
      [{ expiresIn: 3601 }, '400 invalid_expiry'],
      [{ expiresIn: '60' }, '400 invalid_request'],
      [{ uploadId: 'x' }, '400 invalid_request'],
      [{ bucket: 'nope' }, '404 unknown_bucket'],
    ] as const) {
      expect.soft(await refusal(await ask(changes)), JSON.stringify(changes)).toBe(expected)
    }
  })

  it('names the number of parts', async () => {
    expect(await (await ask({ partNumbers: [4] })).json()).toMatchObject({
      message: 'This file has 3 parts.',
    })
    expect(await partUrls(worker, upload, [3])).toHaveLength(1)
  })
})

describe('POST /multipart/:uploadId/complete', () => {
  // None of these requests reaches the bucket.
  beforeEach(() => void scriptedBucket({}))
  afterEach(() => vi.unstubAllGlobals())

  const part = (partNumber: unknown, etag: unknown = 'e') => ({ partNumber, etag })
  const ask = (changes: object) =>
    worker.post(`/multipart/${upload.uploadId}/complete`, {
      key: upload.key,
      parts: [part(1), part(2), part(3)],
      ...changes,
    })

  it('refuses what is invalid', async () => {
    for (const [changes, expected] of [
      [{ parts: undefined }, '400 invalid_request'],
      [{ parts: [] }, '400 invalid_request'],
      [{ parts: {} }, '400 invalid_request'],
      [{ parts: [1] }, '400 invalid_request'],
      [{ parts: [part(0)] }, '400 invalid_request'],
      [{ parts: [part(10_001)] }, '400 invalid_request'],
      [{ parts: [part('1')] }, '400 invalid_request'],
      [{ parts: [part(1, '')] }, '400 invalid_request'],
      [{ parts: [part(1, 'e'.repeat(256))] }, '400 invalid_request'],
      [{ parts: [part(1, 7)] }, '400 invalid_request'],
      [{ parts: [{ partNumber: 1 }] }, '400 invalid_request'],
      [{ parts: [{ ...part(1), size: 5 }] }, '400 invalid_request'],
      [{ parts: [part(1), part(2), part(2)] }, '400 invalid_part'],
      [{ parts: [part(2), part(1), part(3)] }, '400 invalid_part'],
      [{ parts: [part(1), part(2)] }, '400 invalid_part'],
      [{ name: '' }, '400 invalid_request'],
      [{ name: 7 }, '400 invalid_request'],
      [{ size: 5 }, '400 invalid_request'],
      [{ key: 'a/../b' }, '400 invalid_key'],
      [{ bucket: 'nope' }, '404 unknown_bucket'],
    ] as const) {
      expect.soft(await refusal(await ask(changes)), JSON.stringify(changes)).toBe(expected)
    }
  })

  it('names the parts that are out of order', async () => {
    expect(await (await ask({ parts: [part(2), part(1), part(1)] })).json()).toMatchObject({
      issues: [
        { path: 'parts.1.partNumber', message: expect.any(String) },
        { path: 'parts.2.partNumber', message: expect.any(String) },
      ],
    })
  })

  it('accepts a list of 10,000 parts, and refuses a longer one', async () => {
    const etag = `"${'0'.repeat(32)}"`
    const many = Array.from({ length: 10_001 }, (_, i) => part(Math.min(i + 1, 10_000), etag))
    const full = await ask({ parts: many.slice(0, 10_000) })
    expect(await full.json()).toMatchObject({ message: 'This file has 3 parts.' })
    expect(await refusal(await ask({ parts: many }))).toBe('400 invalid_request')
    expect(await refusal(await ask({ name: 'x'.repeat(2 * 1024 ** 2) }))).toBe('413 body_too_large')
  })
})

describe('a query', () => {
  it('is refused if it is invalid', async () => {
    for (const [query, expected] of [
      ['', '400 invalid_request'],
      ['?key=', '400 invalid_key'],
      ['?key=a%2F..%2Fb', '400 invalid_key'],
      ['?key=a&key=b', '400 invalid_request'],
      ['?key=a&partNumber=1', '400 invalid_request'],
      ['?key=a&bucket=nope', '404 unknown_bucket'],
      ['?key=%zz', '400 malformed_url'],
    ] as const) {
      for (const method of ['GET', 'DELETE']) {
        const response = await worker.fetch(`/multipart/${upload.uploadId}${query}`, { method })
        expect.soft(await refusal(response), `${method} ${query}`).toBe(expected)
      }
    }
  })
})

it.each(['/multipart', '/multipart/x/urls'])('reads at most 64 KiB at %s', async (path) => {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' } }
  const send = (length: number) =>
    worker.fetch(path, { ...init, body: '{}'.padEnd(length) }).then(refusal)
  expect(await send(65_536)).toBe('400 invalid_request')
  expect(await send(65_537)).toBe('413 body_too_large')
})
