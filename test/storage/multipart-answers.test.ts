import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
} from '../../src/storage/multipart.ts'
import { answer, completed, scriptedBucket, started } from '../support/scripted-bucket.ts'
import { testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const bucket = testBucket()
const key = parseObjectKey('uploads/a.mp4')
const upload = { bucket, key, s3UploadId: 'id' }
const create = () => createMultipartUpload(bucket, key, {}, NOW)
const complete = () => completeMultipartUpload(upload, [{ partNumber: 1, etag: 'e' }], NOW)
const abort = () => abortMultipartUpload(upload, NOW)

afterEach(() => vi.unstubAllGlobals())

describe('createMultipartUpload', () => {
  it.each([
    ['2~x+/=&amp;&lt;&gt;', '2~x+/=&<>'],
    ['<![CDATA[2~x+/=&<>]]>', '2~x+/=&<>'],
    ['&#x61;&#98;', 'ab'],
    ['a b', 'a b'],
    ['u'.repeat(1024), 'u'.repeat(1024)],
  ])('decodes the id %j', async (written, uploadId) => {
    scriptedBucket({ CreateMultipartUpload: started(written) })
    expect(await create()).toBe(uploadId)
  })

  it.each([
    ['no id', answer(200, '<InitiateMultipartUploadResult/>')],
    ['an empty id', started('')],
    [
      'an id in a nested element',
      answer(
        200,
        '<InitiateMultipartUploadResult><S><UploadId>id</UploadId></S></InitiateMultipartUploadResult>',
      ),
    ],
  ])('throws storage_error for a response with %s', async (_, failure) => {
    scriptedBucket({ CreateMultipartUpload: failure })
    await expect(create()).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered CreateMultipartUpload without an id.',
    })
  })
})

describe('completeMultipartUpload', () => {
  it.each([
    ['a result', completed],
    [
      'white space before its result',
      answer(200, '\n\n  <?xml version="1.0"?><CompleteMultipartUploadResult/>'),
    ],
  ])('succeeds with %s', async (_, good) => {
    scriptedBucket({ CompleteMultipartUpload: good })
    await expect(complete()).resolves.toBeUndefined()
  })
})

describe('abortMultipartUpload', () => {
  it('succeeds with an empty 204', async () => {
    scriptedBucket({ AbortMultipartUpload: answer(204) })
    await expect(abort()).resolves.toBeUndefined()
  })

  // @threat delete-unconfirmed
  it.each([200, 202, 206])('fails with an empty %i', async (status) => {
    scriptedBucket({ AbortMultipartUpload: answer(status) })
    await expect(abort()).rejects.toMatchObject({ code: 'storage_error' })
  })
})
