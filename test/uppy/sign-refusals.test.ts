import { describe, expect, it } from 'vitest'
import { uppyRefusal } from '../support/uppy.ts'
import { s3rverBucket, testWorker } from '../support/worker.ts'

const worker = testWorker({
  BUCKETS: {
    files: s3rverBucket(),
    limited: { ...s3rverBucket(), maxBytes: 1000 },
    images: { ...s3rverBucket(), allowedTypes: ['image/*'] },
  },
})
const KEY = `uploads/${'0'.repeat(20)}-a.mp4`
const sign = (request: unknown) => worker.post('/s3/sign', request)
const codeOf = async (response: Response) => {
  const { code }: { code?: string } = await response.json()
  return `${response.status} ${code}`
}

describe('a request to sign is refused', () => {
  it.each<readonly [unknown, string]>([
    [null, '400 invalid_request'],
    [[], '400 invalid_request'],
    [{}, '400 invalid_request'],
    [{ method: 'PUT' }, '400 invalid_request'],
    [{ method: 'PUT', key: '' }, '400 invalid_request'],
    [{ method: 'PUT', key: 7 }, '400 invalid_request'],
    [{ method: 'put', key: 'a' }, '400 invalid_request'],
    [{ method: 'HEAD', key: 'a' }, '400 invalid_request'],
    [{ method: 'PUT', key: 'a', contentType: '' }, '400 invalid_mimetype'],
    [{ method: 'PUT', key: 'a', contentType: 'text' }, '400 invalid_mimetype'],
    [{ method: 'PUT', key: 'a.png', contentType: 'text/html' }, '400 type_mismatch'],
    [
      { method: 'PUT', key: 'a.html', fileName: 'a.png', contentType: 'text/html' },
      '400 type_mismatch',
    ],
    [{ method: 'PUT', key: 'a', size: -1 }, '400 invalid_request'],
    [{ method: 'PUT', key: 'a', size: 5 * 1024 ** 3 + 1 }, '413 file_too_large'],
    [{ method: 'PUT', key: 'a', sha256: 'x' }, '400 invalid_request'],
    [{ method: 'PUT', key: 'a', metadata: { A: 'x' } }, '400 invalid_request'],
    [{ method: 'PUT', key: 'a', directory: 'x/../y' }, '400 invalid_key'],
    [{ method: 'PUT', key: 'a', expiresIn: 0 }, '400 invalid_expiry'],
    [{ method: 'PUT', key: 'a', expiresIn: 3601 }, '400 invalid_expiry'],
    [{ method: 'PUT', key: 'a', bucket: 'nope' }, '404 unknown_bucket'],
    [{ method: 'PUT', key: KEY, uploadId: '', partNumber: 1 }, '400 invalid_request'],
    [{ method: 'PUT', key: KEY, uploadId: 'x'.repeat(2049), partNumber: 1 }, '400 invalid_request'],
    [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: 0 }, '400 invalid_request'],
    [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: 10_001 }, '400 invalid_request'],
    [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: '1' }, '400 invalid_request'],
    [{ method: 'GET', key: 'uploads/../a', uploadId: 'id' }, '400 invalid_key'],
    [{ method: 'GET', key: KEY, uploadId: 'id', expiresIn: 3601 }, '400 invalid_expiry'],
  ])('for %j', async (request, expected) => {
    expect(await codeOf(await sign(request))).toBe(expected)
  })

  it('for a type that the bucket does not take, in one piece or in parts', async () => {
    for (const method of ['PUT', 'POST']) {
      const request = { method, key: 'a.txt', contentType: 'text/plain', bucket: 'images' }
      expect(await codeOf(await sign(request)), method).toBe('400 mimetype_not_allowed')
      expect((await sign({ ...request, contentType: 'image/png' })).status, method).toBe(200)
    }
  })

  it('in the words of Uppy, with what is wrong', async () => {
    const part = { method: 'PUT', key: KEY, uploadId: 'id' }
    expect(await uppyRefusal(await sign(part))).toBe('400 A part needs its partNumber.')
    for (const method of ['DELETE', 'GET'])
      expect(await uppyRefusal(await sign({ method, key: KEY })), method).toBe(
        '400 Only uploads are signed here. To delete a file, send DELETE /files/:key.',
      )
    expect(await (await sign({ ...part, partNumber: 0 })).json()).toMatchObject({
      error: 'The request is not valid.',
      issues: [{ path: 'partNumber', message: expect.any(String) }],
    })
  })
})

describe('a key that was not made here', () => {
  it.each([
    'a.mp4',
    'uploads/a.mp4',
    `uploads/${'0'.repeat(19)}-a.mp4`,
    `uploads/${'0'.repeat(20)}a.mp4`,
    `uploads/${'O'.repeat(20)}-a.mp4`,
    `uploads/${'0'.repeat(20)}-`,
    `${'0'.repeat(20)}-a.mp4`,
    `xuploads/${'0'.repeat(20)}-a.mp4`,
    `uploads/${'0'.repeat(20)}-a/b.mp4`,
    `${KEY}/`,
  ])('has no upload in parts: %s', async (key) => {
    for (const method of ['PUT', 'GET', 'POST', 'DELETE'])
      expect(await codeOf(await sign({ method, key, uploadId: 'id', partNumber: 1 }))).toBe(
        '403 forbidden',
      )
  })

  it('names the file where one is uploaded, and nothing more', async () => {
    const response = await sign({ method: 'PUT', key: '../../etc/passwd' })
    expect(await response.json()).toMatchObject({
      key: expect.stringMatching(/^uploads\/[0-9a-z]{20}-passwd$/),
    })
  })
})

describe('a bucket that limits the size of a file', () => {
  const limited = (request: object) => sign({ ...request, bucket: 'limited' })

  it('signs no upload in parts, which it could hold to no size', async () => {
    for (const request of [
      { method: 'POST', key: 'a.mp4' },
      { method: 'POST', key: 'a.mp4', size: 5 },
      { method: 'PUT', key: KEY, uploadId: 'id', partNumber: 1 },
      { method: 'POST', key: KEY, uploadId: 'id' },
    ])
      expect(await uppyRefusal(await limited(request))).toBe(
        '400 This bucket limits the size of a file. Upload its parts through /multipart, or with "companionEndpoint" in Uppy.',
      )
    expect(await codeOf(await limited({ method: 'POST', key: 'a' }))).toBe('400 size_required')
  })

  it('lists and drops what was begun before it had a limit', async () => {
    for (const method of ['GET', 'DELETE'])
      expect((await limited({ method, key: KEY, uploadId: 'id' })).status, method).toBe(200)
  })

  it('signs a single upload of a size within it', async () => {
    const put = { method: 'PUT', key: 'a' }
    expect(await codeOf(await limited(put))).toBe('400 size_required')
    expect(await codeOf(await limited({ ...put, size: 1001 }))).toBe('413 file_too_large')
    const response = await limited({ ...put, size: 1000 })
    const { url }: { url: string } = await response.json()
    expect(new URL(url).searchParams.get('X-Amz-SignedHeaders')).toContain('content-length')
  })
})

it('reads JSON of 64 KiB, and no more', async () => {
  const send = (body: string, type = 'application/json') =>
    worker.fetch('/s3/sign', { method: 'POST', body, headers: { 'Content-Type': type } })
  const body = '{"method":"PUT","key":"a"}'
  expect((await send(body.padEnd(65_536))).status).toBe(200)
  expect(await uppyRefusal(await send(body.padEnd(65_537)))).toMatch(/^413 /)
  expect(await uppyRefusal(await send('{'))).toMatch(/^400 /)
  expect(await uppyRefusal(await send(body, 'text/plain'))).toMatch(/^415 /)
})
