import { beforeAll, describe, expect, it } from 'vitest'
import { startCompanion, uppyRefusal } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker()
let key: string
let uploadId: string

beforeAll(async () => {
  ;({ key, uploadId } = await startCompanion(worker))
})

const code = async (response: Response) => (await response.json<{ code: string }>()).code
const inUpload = (rest: string, init?: RequestInit) =>
  worker.fetch(`/s3/multipart/${uploadId}${rest}`, init)

const NO_FIELD = '400 s3: the "filename" field is required and must be a non-empty string'
const NO_TYPE = '400 s3: content type must be a string'
const NO_KEY =
  '400 s3: the object key must be passed as a query parameter. For example: "?key=abc.jpg"'
const NO_PART_NUMBER = '400 s3: the part number must be a number between 1 and 10000.'
const NO_PART_NUMBERS = '400 s3: the part numbers must be a number between 1 and 10000.'
const NO_LIST =
  '400 s3: the part numbers must be passed as a comma separated query parameter. For example: "?partNumbers=4,6,7,21"'

describe('POST /s3/multipart', () => {
  it('refuses an invalid body, as Companion does', async () => {
    for (const [body, expected] of [
      [{}, NO_FIELD],
      [{ filename: '' }, NO_FIELD],
      [{ filename: 7 }, NO_FIELD],
      [{ filename: null }, NO_FIELD],
      [{ filename: ['a'] }, NO_FIELD],
      [{ filename: 'a'.repeat(1025) }, '400 s3: the file name may have at most 1024 characters.'],
      [{ type: 7 }, NO_FIELD],
      [null, NO_FIELD],
      [[], NO_FIELD],
      ['a.txt', NO_FIELD],
      [{ filename: 'a', type: 7 }, NO_TYPE],
      [{ filename: 'a', type: {} }, NO_TYPE],
      [{ filename: 'a', metadata: 'x' }, '400 s3: metadata must be an object'],
      [{ filename: 'a', metadata: ['x'] }, '400 s3: metadata must be an object'],
    ] as const) {
      const refusal = await uppyRefusal(await worker.post('/s3/multipart', body))
      expect.soft(refusal, JSON.stringify(body)).toBe(expected)
    }
  })

  it('refuses a type that is not allowed, or that the extension hides', async () => {
    const images = testWorker({
      BUCKETS: { files: { ...s3rverBucket(), allowedTypes: ['image/*'] } },
    })
    const ask = async (body: object, of = worker) =>
      code(await of.post('/s3/multipart', { filename: 'a.png', ...body }))
    expect(await ask({ type: 'png' }, images)).toBe('mimetype_not_allowed')
    expect(await ask({ type: 'text/html' })).toBe('type_mismatch')
    expect(await ask({ type: 'text/plain' }, images)).toBe('mimetype_not_allowed')
    expect(await ask({}, images)).toBe('mimetype_not_allowed')
  })

  it('reads at most one MiB of JSON', async () => {
    const send = (body: string, type = 'application/json') =>
      worker.fetch('/s3/multipart', { method: 'POST', body, headers: { 'Content-Type': type } })
    const body = '{"filename":"a.txt"}'
    expect((await send(body.padEnd(1024 ** 2))).status).toBe(200)
    expect(await uppyRefusal(await send(body.padEnd(1024 ** 2 + 1)))).toMatch(/^413 /)
    expect(await uppyRefusal(await send('{"filename":'))).toMatch(/^400 /)
    expect(await uppyRefusal(await send(body, 'text/plain'))).toMatch(/^415 /)
  })
})

describe('a part', () => {
  it('is refused if its number is invalid', async () => {
    for (const number of [
      '0',
      '10001',
      '-1',
      '1.5',
      '1e3',
      '0x1',
      'x',
      '%201',
      '1,2',
      '99999999999',
      'complete',
    ]) {
      const response = await inUpload(`/${number}?key=${encodeURIComponent(key)}`)
      expect.soft(await uppyRefusal(response), number).toBe(NO_PART_NUMBER)
    }
  })

  it('requires a key', async () => {
    for (const query of ['', '?', '?key', '?key=', '?Key=a'])
      expect(await uppyRefusal(await inUpload(`/1${query}`)), query).toBe(NO_KEY)
  })
})

describe('a batch', () => {
  const batch = (query: string) => inUpload(`/batch?key=${encodeURIComponent(key)}${query}`)

  it('is refused with invalid numbers', async () => {
    for (const [query, expected] of [
      ['', NO_LIST],
      ['&partNumber=1', NO_LIST],
      [
        `&partNumbers=${Array(101).fill(1)}`,
        '400 s3: at most 100 part numbers are signed at once.',
      ],
      ['&partNumbers=', NO_PART_NUMBERS],
      ['&partNumbers=0', NO_PART_NUMBERS],
      ['&partNumbers=1,0', NO_PART_NUMBERS],
      ['&partNumbers=1,10001', NO_PART_NUMBERS],
      ['&partNumbers=1,x', NO_PART_NUMBERS],
      ['&partNumbers=1,', NO_PART_NUMBERS],
      ['&partNumbers=1;2', NO_PART_NUMBERS],
    ] as const) {
      expect.soft(await uppyRefusal(await batch(query)), query).toBe(expected)
    }
  })

  it('requires a key, and accepts at most 100 parts', async () => {
    expect(await uppyRefusal(await inUpload('/batch?partNumbers=1'))).toBe(NO_KEY)
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1)
    expect((await batch(`&partNumbers=${hundred}`)).status).toBe(200)
  })
})
