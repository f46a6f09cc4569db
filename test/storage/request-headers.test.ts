import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { openObject } from '../../src/plugins/links/open-object.ts'
import { beginMultipart, signParts } from '../../src/plugins/multipart/begin.ts'
import { deleteObjects } from '../../src/storage/delete-objects.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
} from '../../src/storage/multipart.ts'
import { deleteObject, headObject, putObject } from '../../src/storage/object.ts'
import {
  answer,
  completed,
  found,
  listed,
  operations,
  scriptedBucket,
  started,
} from '../support/scripted-bucket.ts'
import { signingSettings } from '../support/signing-settings.ts'
import { authorizationError } from '../support/sigv4-authorization.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const KEY = parseObjectKey('a b/é.mp4')
const UPLOAD_HEADERS = {
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': 'alias/files',
  'x-amz-tagging': 'team=web',
  'x-amz-acl': 'private',
}
const REQUEST_HEADERS = {
  'x-amz-request-payer': 'requester',
  'x-amz-expected-bucket-owner': '111122223333',
}
const bucket = testBucket({ uploadHeaders: UPLOAD_HEADERS, requestHeaders: REQUEST_HEADERS })
const upload = { bucket, key: KEY, s3UploadId: 'id' }
const server = { ...EXAMPLE_CREDENTIALS, region: bucket.region, now: NOW }

/** Returns the headers of S3 that `headers` contain, except the signature's own. */
const s3Headers = (headers: Headers): Record<string, string> =>
  Object.fromEntries([...headers].filter(([name]) => /^x-amz-(?!date$|content-sha256$)/.test(name)))

afterEach(() => vi.unstubAllGlobals())

describe('the payer and the expected owner', () => {
  // @threat bucket-replaced
  it('are signed headers of every request that the Worker sends', async () => {
    const sent = scriptedBucket({
      CreateMultipartUpload: started('id'),
      ListParts: listed([]),
      CompleteMultipartUpload: completed,
      AbortMultipartUpload: answer(204),
      HeadObject: [found(5), answer(404)],
      GetObject: answer(404, '<Error><Code>NoSuchKey</Code></Error>'),
      DeleteObject: answer(204),
      DeleteObjects: answer(200, '<DeleteResult></DeleteResult>'),
      PutObject: answer(200, null, { ETag: '"e"' }),
    })
    await createMultipartUpload(bucket, KEY, {}, NOW)
    await listParts(upload, NOW)
    await completeMultipartUpload(upload, [{ partNumber: 1, etag: '"e"' }], NOW)
    await abortMultipartUpload(upload, NOW)
    await headObject(bucket, KEY, NOW)
    expect(await headObject(bucket, KEY, NOW)).toBeNull()
    const range = { method: 'GET', range: 'bytes=0-1' } as const
    await expect(openObject(bucket, KEY, range, NOW)).rejects.toThrow('no object')
    await deleteObject(bucket, KEY, NOW)
    await deleteObjects(bucket, [KEY, parseObjectKey('b.png')], NOW)
    await putObject(bucket, KEY, { size: 0, bytes: new Blob().stream() }, {}, NOW)
    expect(operations(sent)).toEqual([
      'CreateMultipartUpload',
      'ListParts',
      'CompleteMultipartUpload',
      'AbortMultipartUpload',
      'HeadObject',
      'HeadObject',
      'GetObject', // looks for the bucket
      'GetObject',
      'DeleteObject',
      'DeleteObjects',
      'PutObject',
    ])
    for (const request of sent) {
      expect(s3Headers(request.headers), request.operation).toEqual(REQUEST_HEADERS)
      expect(request.headers.get('Authorization'), request.operation).toMatch(
        /SignedHeaders=[^,]*;x-amz-expected-bucket-owner;x-amz-request-payer[,;]/,
      )
      if (request.url.includes('?'))
        expect(authorizationError(request, server), request.operation).toBeNull()
    }
  })

  // @threat bucket-replaced
  it('are in the URL of each part, whose client sends no header', async () => {
    const file = { key: KEY, s3UploadId: 'id', size: 5, partSize: 5 }
    const { urls } = await signParts(bucket, file, [{ partNumber: 1 }], 60, NOW)
    const [{ url } = { url: '' }] = urls
    const headers = { 'Content-Length': '5' }
    expect(verifyPresigned({ method: 'PUT', url, headers }, server)).toMatchObject({
      ok: true,
      query: { ...REQUEST_HEADERS, partNumber: '1', uploadId: 'id' },
    })
  })
})

describe('the encryption, class, tags and ACL', () => {
  it('are headers of the start of an upload in parts, and of no other request', async () => {
    const sent = scriptedBucket({
      CreateMultipartUpload: started('id'),
      ListParts: listed([]),
      CompleteMultipartUpload: completed,
      AbortMultipartUpload: answer(204),
    })
    const file = { fileName: 'a.mp4', mimetype: 'video/mp4', size: 5, partSize: 5 }
    await beginMultipart(signingSettings(), bucket, { key: KEY, owner: 'key:ci' }, file, NOW)
    await listParts(upload, NOW)
    await completeMultipartUpload(upload, [{ partNumber: 1, etag: '"e"' }], NOW)
    await abortMultipartUpload(upload, NOW)
    for (const request of sent) {
      const isStart = request.operation === 'CreateMultipartUpload'
      const expected = isStart ? { ...UPLOAD_HEADERS, ...REQUEST_HEADERS } : REQUEST_HEADERS
      expect(s3Headers(request.headers), request.operation).toEqual(expected)
      expect(authorizationError(request, server), request.operation).toBeNull()
    }
    expect(sent).toHaveLength(4)
  })
})
