import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  completed,
  found,
  listed,
  partXml,
  s3Error,
  scriptedBucket,
  started,
} from '../../support/scripted-bucket.ts'
import {
  type CompanionUpload,
  companionPath,
  startCompanion,
  uppyRefusal,
} from '../../support/uppy.ts'
import { s3rverBucket, testWorker } from '../../support/worker.ts'

const worker = testWorker()

const start = (body?: object) => startCompanion(worker, body)

afterEach(async () => {
  vi.unstubAllGlobals()
  await reset()
})

describe('an upload in a bucket with all operations', () => {
  it('is listed like in S3, with all pages joined', async () => {
    const etag = '&quot;0123456789abcdef0123456789abcdef&quot;'
    scriptedBucket({
      CreateMultipartUpload: started('id'),
      ListParts: [listed([partXml(1, 5_242_880, etag)], 1), listed([partXml(2, 7, 'e2')])],
    })
    const response = await worker.fetch(companionPath(await start()))
    expect(response.status).toBe(200)
    const LastModified = '2026-11-24T12:00:00.000Z'
    expect(await response.json()).toEqual([
      { PartNumber: 1, Size: 5_242_880, ETag: '"0123456789abcdef0123456789abcdef"', LastModified },
      { PartNumber: 2, Size: 7, ETag: '"e2"', LastModified },
    ])
  })

  it.each(['NoSuchUpload', 'NoSuchKey'])('is 404 after it has ended: %s', async (s3Code) => {
    scriptedBucket({ CreateMultipartUpload: started('id'), ListParts: s3Error(404, s3Code) })
    const response = await worker.fetch(companionPath(await start()))
    expect(await uppyRefusal(response)).toBe('404 The bucket no longer has this upload.')
  })

  it('is 404 after it is complete, even when the server then denies the list', async () => {
    const script = { CreateMultipartUpload: started('id'), ListParts: s3Error(403, 'AccessDenied') }
    scriptedBucket({ ...script, HeadObject: found(9) })
    const complete = await worker.fetch(companionPath(await start()))
    expect(await uppyRefusal(complete)).toBe('404 This upload is complete.')
    scriptedBucket({ ...script, HeadObject: answer(404) })
    const denied = await worker.fetch(companionPath(await start()))
    expect(await uppyRefusal(denied)).toBe(
      "501 The bucket's access key for uploads does not allow ListParts.",
    )
  })

  it('is 404 after it was aborted elsewhere, even when the server then denies the list', async () => {
    const buckets = { files: { ...s3rverBucket(), uploadCredentials: 'WRITE' } }
    const keys = { WRITE_ACCESS_KEY_ID: 'writer', WRITE_SECRET_ACCESS_KEY: 'secret' }
    const writer = testWorker({ BUCKETS: buckets, ...keys })
    const sent = scriptedBucket({
      CreateMultipartUpload: started('id'),
      ListParts: [s3Error(403, 'AccessDenied'), s3Error(404, 'NoSuchKey')],
      HeadObject: answer(404),
    })
    const response = await writer.fetch(companionPath(await startCompanion(writer)))
    expect(await uppyRefusal(response)).toBe('404 The bucket no longer has this upload.')
    const [first, second] = sent
      .filter(({ operation }) => operation === 'ListParts')
      .map(({ headers }) => headers.get('Authorization'))
    expect(first).toContain('Credential=writer/')
    expect(second).toContain('Credential=S3RVER/')
  })

  it('is aborted with an empty object as the response, even when repeated', async () => {
    scriptedBucket({
      CreateMultipartUpload: started('id'),
      AbortMultipartUpload: [answer(204), s3Error(404, 'NoSuchUpload')],
    })
    const upload = await start()
    for (let i = 0; i < 2; i++) {
      const response = await worker.fetch(companionPath(upload), { method: 'DELETE' })
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual({})
    }
  })

  it('must meet the limit of the bucket when the parts are listed', async () => {
    const limited = testWorker({ BUCKETS: { files: { ...s3rverBucket(), maxBytes: 9 } } })
    const script = { CreateMultipartUpload: started('id'), CompleteMultipartUpload: completed }
    for (const [bytes, status] of [
      [9, 200],
      [10, 413],
    ] as const) {
      const head = bytes > 9 ? answer(404) : found(bytes)
      scriptedBucket({ ...script, ListParts: listed([partXml(1, bytes, 'e')]), HeadObject: head })
      const begun = await limited.post('/s3/multipart', { filename: 'a.txt' })
      const upload: CompanionUpload = await begun.json()
      const body = { parts: [{ PartNumber: 1, ETag: 'e' }] }
      expect((await limited.post(companionPath(upload, '/complete'), body)).status).toBe(status)
    }
  })
})
