import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { s3Error, scriptedBucket } from '../../support/scripted-bucket.ts'
import { startCompanion, uppyRefusal } from '../../support/uppy.ts'
import { testWorker } from '../../support/worker.ts'

const worker = testWorker()
let key: string
let uploadId: string

beforeAll(async () => {
  ;({ key, uploadId } = await startCompanion(worker))
})

const inUpload = (rest: string, init?: RequestInit) =>
  worker.fetch(`/s3/multipart/${uploadId}${rest}`, init)

const NO_KEY =
  '400 s3: the object key must be passed as a query parameter. For example: "?key=abc.jpg"'
const NO_PARTS = '400 s3: `parts` must be an array of {ETag, PartNumber} objects.'

describe('POST complete', () => {
  // None of these requests reaches the bucket.
  beforeEach(() => void scriptedBucket({}))
  afterEach(() => vi.unstubAllGlobals())

  const complete = (body: unknown, query = `?key=${encodeURIComponent(key)}`) =>
    worker.post(`/s3/multipart/${uploadId}/complete${query}`, body)
  const part = (PartNumber: unknown, ETag: unknown = 'e') => ({ PartNumber, ETag })

  it('refuses invalid parts, as Companion does', async () => {
    for (const [body] of [
      [{}],
      [null],
      [[part(1)]],
      [{ parts: [] }],
      [{ parts: {} }],
      [{ parts: 'x' }],
      [{ parts: [1] }],
      [{ parts: [null] }],
      [{ parts: [{ PartNumber: 1 }] }],
      [{ parts: [{ ETag: 'e' }] }],
      [{ parts: [part(0)] }],
      [{ parts: [part(-1)] }],
      [{ parts: [part(10_001)] }],
      [{ parts: [part('1')] }],
      [{ parts: [part(1.5)] }],
      [{ parts: [part(1, 7)] }],
      [{ parts: [part(1, '')] }],
      [{ parts: [part(1, 'e'.repeat(256))] }],
      [{ parts: [{ partNumber: 1, etag: 'e' }] }],
    ]) {
      expect.soft(await uppyRefusal(await complete(body)), JSON.stringify(body)).toBe(NO_PARTS)
    }
  })

  it.each([
    ['a repeated number', [part(1), part(1)]],
    ['descending numbers', [part(2), part(1)]],
  ])('refuses parts out of order: %s', async (_, parts) => {
    expect(await uppyRefusal(await complete({ parts }))).toBe(
      '400 The parts must be unique and in ascending order.',
    )
  })

  it('accepts 10,000 parts in a body of one MiB', async () => {
    const parts = Array.from({ length: 10_001 }, (_, i) => part(Math.min(i + 1, 10_000)))
    expect(await uppyRefusal(await complete({ parts }))).toBe(NO_PARTS)
    const disordered = [...parts.slice(0, 9_999), part(1)]
    expect(await uppyRefusal(await complete({ parts: disordered }))).toMatch(/^400 The parts must/)
    expect(await uppyRefusal(await complete({ parts, x: 'x'.repeat(1024 ** 2) }))).toMatch(/^413 /)
  })

  it('requires a key', async () => {
    expect(await uppyRefusal(await complete({ parts: [part(1)] }, ''))).toBe(NO_KEY)
  })
})

it.each([
  ['GET', 'ListParts'],
  ['DELETE', 'AbortMultipartUpload'],
] as const)(
  '%s of an upload requires a key, and names the operation that the server lacks: %s',
  async (method, operation) => {
    scriptedBucket({ [operation]: s3Error(501, 'NotImplemented') })
    onTestFinished(() => void vi.unstubAllGlobals())
    expect(await uppyRefusal(await inUpload('', { method }))).toBe(NO_KEY)
    expect(await uppyRefusal(await inUpload(`?key=${encodeURIComponent(key)}`, { method }))).toBe(
      `501 The server of this bucket does not support ${operation}.`,
    )
  },
)

it('GET /s3/sts answers that there are no temporary credentials', async () => {
  expect(await uppyRefusal(await worker.fetch('/s3/sts'))).toBe(
    '501 The bucket has no temporary credentials for clients. Remove "getTemporarySecurityCredentials".',
  )
})

it("a route that Companion doesn't have does not exist", async () => {
  for (const [method, path] of [
    ['GET', '/s3'],
    ['GET', '/s3/nope'],
    ['PUT', '/s3/multipart'],
    ['POST', '/s3/params'],
  ] as const) {
    const { status } = await worker.fetch(path, { method })
    expect.soft(status, `${method} ${path}`).toBe(404)
  }
})

it("an unknown route and a malformed URL get an error in Uppy's format", async () => {
  expect(await uppyRefusal(await worker.fetch('/s3/nope'))).toBe('404 There is no such route.')
  expect(await uppyRefusal(await worker.fetch('/s3/multipart/x?key=%zz'))).toMatch(/^400 /)
})
