import { afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { presign } from '../../src/signing/presign.ts'
import { deleteObject, headObject } from '../../src/storage/object.ts'
import '../support/provided-context.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'
import { stubUnreachable, UNREACHABLE } from '../support/unreachable.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const credentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const bucket = testBucket({
  origin: inject('s3Endpoint'),
  basePath: '/files/',
  credentials,
  uploadCredentials: credentials,
})
const key = (name: string) => parseObjectKey(`storage-object-test/${name}`)

async function upload(name: string, body: string, contentType: string): Promise<void> {
  const headers = { 'Content-Type': contentType }
  const signed = { bucket, credentials, key: key(name), headers, signedAt: new Date() }
  const url = await presign({ ...signed, method: 'PUT', signedSeconds: 60 })
  const response = await fetch(url, { method: 'PUT', headers, body })
  expect(response.status).toBe(200)
}

const head = (name: string, changes: Partial<Bucket> = {}) =>
  headObject({ ...bucket, ...changes }, key(name), new Date())

describe('headObject', () => {
  beforeAll(() => upload('photo.png', 'eight by', 'image/png'))

  it('returns what the bucket holds', async () => {
    const before = Date.now()
    await upload('hello.txt', 'hello', 'text/plain; charset=utf-8')
    const found = await head('hello.txt')
    expect(found).toEqual({
      size: 5,
      mimetype: 'text/plain; charset=utf-8',
      etag: '"5d41402abc4b2a76b9719d911017c592"',
      lastModified: expect.any(Date),
    })
    expect(Math.abs((found?.lastModified.getTime() ?? 0) - before)).toBeLessThan(60_000)
  })

  it('returns an empty object too', async () => {
    await upload('empty.bin', '', 'application/octet-stream')
    expect(await head('empty.bin')).toMatchObject({ size: 0 })
  })

  it.each(["a b+c%25&'()*!~.png", '漢字😀.png', 'double//slash', 'q?x=1#y'])(
    'finds the object under the key %j',
    async (name) => {
      await upload(name, name, 'image/png')
      expect(await head(name)).toMatchObject({ size: new TextEncoder().encode(name).length })
      expect(await head(`${name}x`)).toBeNull()
    },
  )

  it('finds nothing under a key without an object', async () => {
    expect(await head('missing')).toBeNull()
  })

  it('throws storage_error when the bucket is missing', async () => {
    const missing = head('photo.png', { basePath: '/no-such-bucket/' })
    await expect(missing).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket answered HeadObject with NoSuchBucket.',
    })
  })

  it.each([
    ['secret', { secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
    ['access key', { accessKeyId: 'UNKNOWN' }, 'InvalidAccessKeyId'],
  ])('throws misconfigured when the %s is wrong', async (_, wrong, s3Code) => {
    const refused = head('photo.png', { credentials: { ...credentials, ...wrong } })
    await expect(refused).rejects.toMatchObject({
      code: 'misconfigured',
      reason: 'credentials',
      message: `The bucket answered HeadObject with ${s3Code}.`,
    })
  })

  it('throws storage_error when nothing listens', async () => {
    stubUnreachable()
    await expect(head('photo.png', { origin: UNREACHABLE })).rejects.toMatchObject({
      code: 'storage_error',
      message: 'The bucket did not respond.',
      cause: expect.any(Error),
    })
  })
})

describe('deleteObject', () => {
  const remove = (name: string, changes: Partial<Bucket> = {}) =>
    deleteObject({ ...bucket, ...changes }, key(name), new Date())

  it('deletes an object, and succeeds again when it is gone', async () => {
    await upload('old.txt', 'old', 'text/plain')
    for (let i = 0; i < 2; i++) {
      await expect(remove('old.txt')).resolves.toBeUndefined()
      expect(await head('old.txt')).toBeNull()
    }
  })

  it('deletes no other object', async () => {
    await upload('a.txt', 'a', 'text/plain')
    await upload('a.txt.bak', 'b', 'text/plain')
    await remove('a.txt')
    expect(await head('a.txt.bak')).toMatchObject({ size: 1 })
  })

  it('throws misconfigured when the credentials are wrong, and deletes nothing', async () => {
    await upload('kept.txt', 'kept', 'text/plain')
    const wrong = { ...credentials, secretAccessKey: 'wrong' }
    await expect(remove('kept.txt', { credentials: wrong })).rejects.toMatchObject({
      code: 'misconfigured',
      reason: 'credentials',
    })
    expect(await head('kept.txt')).toMatchObject({ size: 4 })
  })

  it('throws storage_error when nothing listens', async () => {
    stubUnreachable()
    await expect(remove('a.txt', { origin: UNREACHABLE })).rejects.toMatchObject({
      code: 'storage_error',
    })
  })
})
