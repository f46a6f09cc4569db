import { describe, expect, it } from 'vitest'
import { beginUpload, uppyRefusal } from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

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
  it('for what is invalid or not allowed', async () => {
    for (const [request, expected] of [
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
      [
        { method: 'PUT', key: KEY, uploadId: 'x'.repeat(4097), partNumber: 1 },
        '400 invalid_request',
      ],
      [{ method: 'POST', key: 'a.png', contentType: 'text/html' }, '400 type_mismatch'],
      [{ method: 'POST', key: 'a', size: 5 * 1024 ** 4 + 1 }, '413 file_too_large'],
      [{ method: 'POST', key: 'a', metadata: { a: 'x'.repeat(2048) } }, '400 invalid_request'],
      [{ method: 'POST', key: 'a', expiresIn: 3601 }, '400 invalid_expiry'],
      [{ method: 'POST', key: 'a', bucket: 'limited', size: 1001 }, '413 file_too_large'],
      [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: 0 }, '400 invalid_request'],
      [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: 10_001 }, '400 invalid_request'],
      [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: '1' }, '400 invalid_request'],
      [{ method: 'GET', key: 'uploads/../a', uploadId: 'id' }, '400 invalid_key'],
      [{ method: 'GET', key: KEY, uploadId: 'id' }, '400 invalid_upload_id'],
      [{ method: 'PUT', key: KEY, uploadId: 'id', partNumber: 1 }, '400 invalid_upload_id'],
      [{ method: 'POST', key: KEY, uploadId: 'id' }, '400 invalid_upload_id'],
      [{ method: 'DELETE', key: KEY, uploadId: 'id' }, '400 invalid_upload_id'],
    ] as const) {
      expect.soft(await codeOf(await sign(request)), JSON.stringify(request)).toBe(expected)
    }
  })

  it('for a type that the bucket does not accept, in one request or in parts', async () => {
    for (const method of ['PUT', 'POST']) {
      const request = { method, key: 'a.txt', contentType: 'text/plain', bucket: 'images' }
      expect(await codeOf(await sign(request)), method).toBe('400 mimetype_not_allowed')
      expect((await sign({ ...request, contentType: 'image/png' })).status, method).toBe(200)
    }
  })

  it("in Uppy's format, with the reason", async () => {
    const { key, uploadId } = await beginUpload(worker)
    const part = { method: 'PUT', key, uploadId }
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

describe('a multipart upload', () => {
  it('belongs to one key: its id signs nothing for another key', async () => {
    const { uploadId } = await beginUpload(worker)
    const other = await beginUpload(worker)
    for (const key of [other.key, 'a.mp4', KEY])
      for (const method of ['PUT', 'GET', 'POST', 'DELETE'])
        expect(await codeOf(await sign({ method, key, uploadId, partNumber: 1 })), method).toBe(
          '400 invalid_upload_id',
        )
  })

  it('only names the file in a single upload', async () => {
    const response = await sign({ method: 'PUT', key: '../../etc/passwd' })
    expect(await response.json()).toMatchObject({
      key: expect.stringMatching(/^uploads\/[0-9a-z]{20}-passwd$/),
    })
  })
})
