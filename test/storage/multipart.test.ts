import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { type ObjectKey, parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
  type Part,
} from '../../src/storage/multipart.ts'
import { headObject } from '../../src/storage/object.ts'
import { bucketFetch } from '../support/bucket.ts'
import { textOf } from '../support/links.ts'
import '../support/provided-context.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'
import { stubUnreachable, UNREACHABLE } from '../support/unreachable.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const address = { origin: inject('s3Endpoint'), basePath: '/files/', credentials }
const bucket = testBucket({ ...address, uploadCredentials: credentials })
const key = (name: string) => parseObjectKey(`storage-multipart-test/${name}`)

const create = (objectKey: ObjectKey, headers: Record<string, string> = {}) =>
  createMultipartUpload(bucket, objectKey, headers, new Date())

/** Uploads a part through a presigned URL; resolves with the part as the server reports it. */
async function putPart(
  objectKey: ObjectKey,
  uploadId: string,
  partNumber: number,
  body: string,
): Promise<Part> {
  const query = { partNumber: String(partNumber), uploadId }
  const part = { bucket, credentials, key: objectKey, query, signedAt: new Date() }
  const url = await presign({ ...part, method: 'PUT', signedSeconds: 60 })
  const response = await fetch(url, { method: 'PUT', body })
  expect(response.status).toBe(200)
  return { partNumber, etag: response.headers.get('ETag') ?? '' }
}

/** Reads the object under `objectKey` from s3rver. */
const read = (objectKey: ObjectKey) =>
  bucketFetch(objectKey.split('/').map(encodeURIComponent).join('/'))

describe('a multipart upload', () => {
  it.each(['a.mp4', "a b+c%25&'()*!~.png", '漢字😀/é.png', 'q?x=1#y'])(
    'becomes the object under the key %j',
    async (name) => {
      const objectKey = key(name)
      const uploadId = await create(objectKey, {
        'Content-Type': 'video/mp4',
        'x-amz-meta-note': '=?UTF-8?B?w6k=?=',
      })
      const second = await putPart(objectKey, uploadId, 2, 'world')
      const first = await putPart(objectKey, uploadId, 1, 'hello ')
      expect(await headObject(bucket, objectKey, new Date())).toBeNull()

      const upload = { bucket, key: objectKey, s3UploadId: uploadId }
      const parts = [first, { ...second, etag: second.etag.replaceAll('"', '') }]
      await completeMultipartUpload(upload, parts, new Date())
      const object = await read(objectKey)
      expect(await textOf(object)).toBe('hello world')
      expect(object.headers.get('Content-Type')).toBe('video/mp4')
      expect(object.headers.get('x-amz-meta-note')).toBe('=?UTF-8?B?w6k=?=')
      expect(await headObject(bucket, objectKey, new Date())).toMatchObject({ size: 11 })
    },
  )

  it('keeps the last part uploaded under a number', async () => {
    const objectKey = key('twice.txt')
    const s3UploadId = await create(objectKey, { 'Content-Type': 'text/plain' })
    await putPart(objectKey, s3UploadId, 1, 'first try')
    const part = await putPart(objectKey, s3UploadId, 1, 'second try')
    await completeMultipartUpload({ bucket, key: objectKey, s3UploadId }, [part], new Date())
    expect(await textOf(await read(objectKey))).toBe('second try')
  })

  it('has a different id each time', async () => {
    const ids = [await create(key('same.bin')), await create(key('same.bin'))]
    expect(new Set(ids).size).toBe(2)
  })

  it('fails to complete a second time', async () => {
    const objectKey = key('once.bin')
    const s3UploadId = await create(objectKey)
    const parts = [await putPart(objectKey, s3UploadId, 1, 'x')]
    const complete = () =>
      completeMultipartUpload({ bucket, key: objectKey, s3UploadId }, parts, new Date())
    await complete()
    await expect(complete()).rejects.toMatchObject({ code: 'upload_not_found' })
  })

  it('lists its parts, and nothing after an abort, which can be repeated', async () => {
    const objectKey = key('dropped.bin')
    const upload = { bucket, key: objectKey, s3UploadId: await create(objectKey) }
    expect(await listParts(upload, new Date())).toEqual([])
    const third = await putPart(objectKey, upload.s3UploadId, 3, 'three')
    const first = await putPart(objectKey, upload.s3UploadId, 1, 'x')
    expect(await listParts(upload, new Date())).toMatchObject([
      { ...first, size: 1 },
      { ...third, size: 5 },
    ])
    await abortMultipartUpload(upload, new Date())
    await abortMultipartUpload(upload, new Date())
    const code = 'upload_not_found'
    await expect(listParts(upload, new Date())).rejects.toMatchObject({ code })
    const complete = completeMultipartUpload(upload, [first], new Date())
    await expect(complete).rejects.toMatchObject({ code })
  })
})

describe('createMultipartUpload and completeMultipartUpload', () => {
  const wrong = { ...credentials, secretAccessKey: 'wrong' }

  it('throw misconfigured for a wrong upload secret, without trying other credentials', async () => {
    const refused = createMultipartUpload(
      testBucket({ ...address, uploadCredentials: wrong }),
      key('a'),
      {},
      new Date(),
    )
    await expect(refused).rejects.toMatchObject({
      code: 'misconfigured',
      reason: 'credentials',
      message: 'The bucket answered CreateMultipartUpload with SignatureDoesNotMatch.',
    })
  })

  it('succeed when only the credentials for reading are wrong', async () => {
    const readers = testBucket({ ...address, credentials: wrong, uploadCredentials: credentials })
    expect(await createMultipartUpload(readers, key('a'), {}, new Date())).toMatch(/./)
  })

  it('throw storage_error when nothing listens', async () => {
    stubUnreachable()
    const nowhere = testBucket({ origin: UNREACHABLE, basePath: '/files/' })
    await expect(createMultipartUpload(nowhere, key('a'), {}, new Date())).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket did not respond.',
    })
  })

  it.each([
    ['breaks off', 'cut'],
    ['ends in an error long after its status of 200', 'late-error'],
  ])('throw storage_error when a response %s', async (_, failure) => {
    await expect(completeAtFaulty(failure)).rejects.toMatchObject({ code: 'storage_error' })
  })

  it('succeed when a response is slow', async () => {
    await expect(completeAtFaulty('late-result')).resolves.toBeUndefined()
  })
})

/** Sends CompleteMultipartUpload to the server that breaks its responses. */
function completeAtFaulty(failure: string): Promise<void> {
  const origin = `http://127.0.0.1:${inject('testPorts').faulty}`
  const faulty = testBucket({ origin, basePath: '/files/' })
  const upload = { bucket: faulty, key: parseObjectKey(`${failure}/a.mp4`), s3UploadId: 'id' }
  return completeMultipartUpload(upload, [{ partNumber: 1, etag: 'e' }], new Date())
}
