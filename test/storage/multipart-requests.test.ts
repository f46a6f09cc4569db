import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
  type MultipartUpload,
  type Part,
} from '../../src/storage/multipart.ts'
import { readXml } from '../../src/storage/xml.ts'
import { hostileText } from '../support/hostile.ts'
import {
  answer,
  completed,
  listed,
  type Sent,
  scriptedBucket,
  started,
} from '../support/scripted-bucket.ts'
import { authorizationError } from '../support/sigv4-authorization.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const KEY = parseObjectKey('a b/é+%.mp4')
const URL_OF_KEY = 'https://examplebucket.s3.amazonaws.com/a%20b/%C3%A9%2B%25.mp4'
const WRITER = {
  ...EXAMPLE_CREDENTIALS,
  accessKeyId: 'AKIAIOSFODNN7WRITER',
  sessionToken: 'a/b+c=',
}
const bucket = testBucket({ uploadCredentials: WRITER })
const server = { ...WRITER, region: bucket.region, now: NOW }
/** Ids of R2, AWS and Ceph, and one that needs escaping in a query and in XML. */
const S3_UPLOAD_ID = '2~a b+/=&<>"\'%25?#é'
const upload: MultipartUpload = { bucket, key: KEY, s3UploadId: S3_UPLOAD_ID }

/** Answers every operation with success and returns the requests. */
const answering = () =>
  scriptedBucket({
    CreateMultipartUpload: started('id'),
    ListParts: listed([]),
    CompleteMultipartUpload: completed,
    AbortMultipartUpload: answer(204),
  })

/** Returns the only request of `sent` with its query decoded, after checking its signature. */
function only(sent: readonly Sent[]) {
  const [one] = sent
  if (one === undefined || sent.length > 1) throw new Error(`${sent.length} requests were sent.`)
  expect(authorizationError(one, server)).toBeNull()
  const [path, search] = one.url.split('?')
  expect(path).toBe(URL_OF_KEY)
  const query = (search ?? '').split('&').map((pair) => pair.split('=').map(decodeURIComponent))
  return { ...one, query: Object.fromEntries(query) }
}

afterEach(() => vi.unstubAllGlobals())

describe('the request, signed with the credentials for uploads,', () => {
  it('for CreateMultipartUpload', async () => {
    const sent = answering()
    const headers = { 'Content-Type': 'video/mp4', 'x-amz-meta-note': '=?UTF-8?B?w6k=?=' }
    await createMultipartUpload(bucket, KEY, headers, NOW)
    const request = only(sent)
    expect(request).toMatchObject({ method: 'POST', query: { uploads: '' }, body: '' })
    expect(request.headers.get('Content-Type')).toBe('video/mp4')
    expect(request.headers.get('x-amz-meta-note')).toBe('=?UTF-8?B?w6k=?=')
    expect(request.headers.get('Authorization')).toContain('x-amz-meta-note')
  })

  it('for ListParts', async () => {
    const sent = answering()
    await listParts(upload, NOW)
    expect(only(sent)).toMatchObject({
      method: 'GET',
      query: { uploadId: S3_UPLOAD_ID, 'max-parts': '1000', 'part-number-marker': '0' },
      body: '',
    })
  })

  it('for AbortMultipartUpload', async () => {
    const sent = answering()
    await abortMultipartUpload(upload, NOW)
    expect(only(sent)).toMatchObject({ method: 'DELETE', query: { uploadId: S3_UPLOAD_ID } })
  })

  it('for CompleteMultipartUpload', async () => {
    const sent = answering()
    const parts = [
      { partNumber: 1, etag: '"0123456789abcdef0123456789abcdef"' },
      { partNumber: 10_000, etag: 'fedcba9876543210fedcba9876543210' },
    ]
    await completeMultipartUpload(upload, parts, NOW)
    const request = only(sent)
    expect(request).toMatchObject({ method: 'POST', query: { uploadId: S3_UPLOAD_ID } })
    expect(request.headers.get('Content-Type')).toBe('application/xml')
    expect(request.headers.get('X-Amz-Content-Sha256')).toBe(
      createHash('sha256').update(request.body).digest('hex'),
    )
    expect(request.body).toBe(
      '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
        '<Part><PartNumber>1</PartNumber><ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag></Part>' +
        '<Part><PartNumber>10000</PartNumber><ETag>&quot;fedcba9876543210fedcba9876543210&quot;</ETag></Part>' +
        '</CompleteMultipartUpload>',
    )
  })
})

it('includes any S3 id in the query, and signs it', async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, async (s3UploadId) => {
      const sent = answering()
      await abortMultipartUpload({ ...upload, s3UploadId }, NOW)
      expect(only(sent).query).toEqual({ uploadId: s3UploadId })
    }),
  )
})

// @threat xml-hostile
it('escapes an ETag that contains markup', async () => {
  const sent = answering()
  const etag = '"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>&amp;"'
  await completeMultipartUpload(upload, [{ partNumber: 1, etag }], NOW)
  const root = readXml(only(sent).body)
  expect(root?.children).toHaveLength(1)
  expect(root?.text).toBe(`1"${etag.replaceAll('"', '')}"`)
})

it('sends 10,000 parts in the given order', async () => {
  const sent = answering()
  const parts: Part[] = Array.from({ length: 10_000 }, (_, i) => ({ partNumber: i + 1, etag: 'e' }))
  await completeMultipartUpload(upload, parts, NOW)
  const numbers = [...only(sent).body.matchAll(/<PartNumber>(\d+)</g)].map(([, digits]) => digits)
  expect(numbers).toEqual(parts.map(({ partNumber }) => String(partNumber)))
})

it('sends nothing after the credentials for uploads expire, even if those for reading are valid', async () => {
  const sent = answering()
  const uploadCredentials = { ...WRITER, expiresAt: NOW.getTime() }
  const ended = abortMultipartUpload({ ...upload, bucket: testBucket({ uploadCredentials }) }, NOW)
  await expect(ended).rejects.toMatchObject({ code: 'misconfigured', reason: 'expired' })
  expect(sent).toEqual([])
})

it('completes without replacing an object when the server supports it', async () => {
  const parts = [{ partNumber: 1, etag: 'a' }]
  for (const [conditionalComplete, condition] of [
    [true, '*'],
    [false, null],
  ] as const) {
    const sent = answering()
    const changed = { ...upload, bucket: { ...bucket, conditionalComplete } }
    await completeMultipartUpload(changed, parts, NOW)
    expect(only(sent).headers.get('If-None-Match')).toBe(condition)
  }
})
