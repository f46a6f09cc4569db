import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startUpload } from '../../support/parts.ts'
import {
  answer,
  completed,
  found,
  listed,
  operations,
  partXml,
  s3Error,
  scriptedBucket,
  started,
} from '../../support/scripted-bucket.ts'
import { testWorker } from '../../support/worker.ts'

/** Uses a bucket that lists and aborts, which s3rver doesn't. */
const worker = testWorker()
const S3_UPLOAD_ID = '2~x+/=&<>'
const NO_UPLOAD = s3Error(404, 'NoSuchUpload')
const MISSING = answer(404)
const ETAG = '&quot;0123456789abcdef0123456789abcdef&quot;'

/** Starts an upload of ten bytes in one part, in a bucket that answers as `script` says. */
async function begin(script: Parameters<typeof scriptedBucket>[0]) {
  const sent = scriptedBucket({
    CreateMultipartUpload: started(S3_UPLOAD_ID.replaceAll('&', '&amp;').replaceAll('<', '&lt;')),
    ...script,
  })
  const { key, uploadId } = await startUpload(worker, { size: 10 })
  sent.length = 0
  const path = `/multipart/${uploadId}?key=${encodeURIComponent(key)}`
  return {
    key,
    sent,
    list: () => worker.fetch(path),
    abort: () => worker.fetch(path, { method: 'DELETE' }),
    complete: (etag: string) =>
      worker.post(`/multipart/${uploadId}/complete`, { key, parts: [{ partNumber: 1, etag }] }),
  }
}

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('GET /multipart/:uploadId', () => {
  it("joins all pages of the bucket's list", async () => {
    const { list, sent } = await begin({
      ListParts: [
        listed([partXml(1, 8_388_608, ETAG), partXml(2, 8_388_608, 'e2')], 2),
        listed([partXml(3, 5, 'e3')]),
      ],
    })
    const response = await list()
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({
      parts: [
        { partNumber: 1, size: 8_388_608, etag: '"0123456789abcdef0123456789abcdef"' },
        { partNumber: 2, size: 8_388_608, etag: '"e2"' },
        { partNumber: 3, size: 5, etag: '"e3"' },
      ],
    })
    const ids = sent.map(({ url }) => new URL(url).searchParams.get('uploadId'))
    expect(ids).toEqual([S3_UPLOAD_ID, S3_UPLOAD_ID])
  })

  it('is an empty list before the first part', async () => {
    const { list } = await begin({ ListParts: listed([]) })
    expect(await (await list()).json()).toEqual({ parts: [] })
  })

  it('answers 404 for an upload that the bucket has removed', async () => {
    const { list } = await begin({ ListParts: NO_UPLOAD })
    const response = await list()
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'upload_not_found' })
  })
})

describe('DELETE /multipart/:uploadId', () => {
  it('aborts the upload, and answers the same when repeated', async () => {
    const { abort, sent } = await begin({ AbortMultipartUpload: [answer(204), NO_UPLOAD] })
    for (let i = 0; i < 2; i++) {
      const response = await abort()
      expect(response.status).toBe(204)
      expect(await response.text()).toBe('')
    }
    expect(operations(sent)).toEqual(['AbortMultipartUpload', 'AbortMultipartUpload'])
    expect(new URL(sent[0]?.url ?? '').searchParams.get('uploadId')).toBe(S3_UPLOAD_ID)
  })

  it('deletes no object, so that a completed upload stays', async () => {
    const { abort, sent } = await begin({ AbortMultipartUpload: NO_UPLOAD })
    expect((await abort()).status).toBe(204)
    expect(operations(sent)).not.toContain('DeleteObject')
  })
})

describe('POST /multipart/:uploadId/complete', () => {
  const LIST = listed([partXml(1, 10, ETAG)])

  it('records what the bucket has assembled', async () => {
    const { complete, key } = await begin({
      ListParts: LIST,
      CompleteMultipartUpload: completed,
      HeadObject: found(10),
    })
    const response = await complete('0123456789abcdef0123456789abcdef')
    expect(response.status).toBe(201)
    expect(await response.json()).toMatchObject({ key, size: 10, mimetype: 'video/mp4' })
  })

  it('names the part whose ETag is wrong', async () => {
    const { complete } = await begin({ ListParts: LIST, HeadObject: MISSING })
    const response = await complete('"fedcba9876543210fedcba9876543210"')
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({
      message: 'Some of these parts are missing or have another ETag.',
      code: 'invalid_part',
      requestId: response.headers.get('X-Request-Id'),
      issues: [{ path: 'parts.0.etag', message: 'does not match the uploaded part' }],
    })
  })

  it('refuses parts that are not the whole file', async () => {
    const short = listed([partXml(1, 9, ETAG)])
    const { complete } = await begin({ ListParts: short, HeadObject: MISSING })
    const response = await complete('0123456789abcdef0123456789abcdef')
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'size_mismatch' })
  })

  it('answers 404 for an aborted upload, and records nothing', async () => {
    const { abort, complete } = await begin({
      AbortMultipartUpload: answer(204),
      ListParts: NO_UPLOAD,
      HeadObject: MISSING,
    })
    await abort()
    const response = await complete('e')
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'upload_not_found' })
    expect(await (await worker.fetch('/files')).json()).toEqual({ files: [] })
  })

  it('treats a 200 with an error as an error', async () => {
    const { complete } = await begin({
      ListParts: LIST,
      CompleteMultipartUpload: s3Error(200, 'InternalError'),
      HeadObject: MISSING,
    })
    const response = await complete('0123456789abcdef0123456789abcdef')
    expect(response.status).toBe(502)
    expect(await response.json()).toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered CompleteMultipartUpload with InternalError.',
    })
  })
})
