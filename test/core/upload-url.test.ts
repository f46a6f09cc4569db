import { describe, expect, it } from 'vitest'
import type { Bucket } from '../../src/bucket/bucket.ts'
import { MAX_OBJECT_BYTES, MAX_PUT_BYTES } from '../../src/bucket/limits.ts'
import { createUploadUrl, newUpload, type UploadRequest } from '../../src/core/upload-url.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { beginMultipart } from '../../src/plugins/multipart/begin.ts'
import { coded } from '../support/errors.ts'
import { signingSettings } from '../support/signing-settings.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const GIB = 1024 ** 3
const FILE = { fileName: 'a.txt', mimetype: 'text/plain' }
const ended = { ...EXAMPLE_CREDENTIALS, expiresAt: NOW.getTime() }

/** The errors of an upload, in the order in which they are reported. */
const SINGLE = [
  ['invalid_name', { fileName: ' ' }, {}],
  ['invalid_key', { directory: 'a/..' }, {}],
  ['invalid_mimetype', { mimetype: 'nonsense' }, {}],
  ['size_required', {}, { maxBytes: 10 * GIB }],
  ['file_too_large', { size: 5 * GIB + 1 }, {}],
  ['misconfigured expired', {}, { uploadCredentials: ended }],
  ['invalid_expiry', { expiresIn: 3601 }, {}],
  ['invalid_request', { metadata: { a: 'x'.repeat(2048) } }, {}],
] as const satisfies Failure[]
const MULTIPART = [
  ['invalid_name', { fileName: 'a\u202eb' }, {}],
  ['invalid_key', { directory: 'a/..' }, {}],
  ['invalid_mimetype', { mimetype: 'nonsense' }, {}],
  ['file_too_large', { size: 5 * 1024 * GIB + 1 }, {}],
  ['invalid_request', { metadata: { a: 'x'.repeat(2048) } }, {}],
] as const satisfies Failure[]

type Failure = readonly [code: string, file: object, bucket: Partial<Bucket>]

/** Combines each error with all later ones. A size is either missing or too large, never both. */
const withLaterOnes = (failures: readonly Failure[]): Failure[] =>
  failures.map(([code], i) => {
    const later = failures.slice(i)
    const rest =
      code === 'size_required' ? later.filter(([other]) => other !== 'file_too_large') : later
    return [
      code,
      Object.assign({}, ...rest.map(([, file]) => file)),
      Object.assign({}, ...rest.map(([, , bucket]) => bucket)),
    ]
  })

async function signPut(bucket: Bucket, file: UploadRequest) {
  const key = newUpload(bucket, file, '', MAX_PUT_BYTES, NOW)
  return createUploadUrl(bucket, key, file, NOW)
}

async function beginParts(bucket: Bucket, file: UploadRequest & { readonly size: number }) {
  const to = { key: newUpload(bucket, file, '', MAX_OBJECT_BYTES, NOW), owner: 'key:ci' }
  return beginMultipart(signingSettings(), bucket, to, { ...file, partSize: null }, NOW)
}

describe('a presigned PUT', () => {
  it.each([...SINGLE, ...withLaterOnes(SINGLE)])(
    'is refused with %s for %o',
    async (...failure) => {
      const [code, file, bucket] = failure
      const made = signPut(testBucket(bucket), { ...FILE, ...file })
      await expect(made).rejects.toMatchObject(coded(code))
    },
  )

  it('may have as many bytes as both the bucket and S3 allow', async () => {
    for (const [maxBytes, size] of [
      [null, 5 * GIB],
      [10, 10],
      [10 * GIB, 5 * GIB],
    ] as const) {
      const bucket = testBucket({ maxBytes })
      expect(await signPut(bucket, { ...FILE, size })).toHaveProperty('key')
      const larger = signPut(bucket, { ...FILE, size: size + 1 })
      await expect(larger).rejects.toMatchObject({ code: 'file_too_large' })
    }
  })
})

describe('a multipart upload', () => {
  it.each([...MULTIPART, ...withLaterOnes(MULTIPART)])(
    'is refused with %s for %o, without a request to the bucket',
    async (code, file, bucket) => {
      const made = beginParts(testBucket(bucket), { ...FILE, size: 1, ...file })
      await expect(made).rejects.toMatchObject(coded(code))
    },
  )
})

describe('an upload URL', () => {
  const KEY = parseObjectKey('uploads/a.txt')

  // @threat copy-by-upload
  it('is signed with the credentials for uploads, never with those for reading', async () => {
    const uploadCredentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'WRITE' }
    const { uploadUrl } = await createUploadUrl(testBucket({ uploadCredentials }), KEY, FILE, NOW)
    const { searchParams } = new URL(uploadUrl)
    expect(searchParams.get('X-Amz-Credential')).toMatch(/^WRITE\//)
    expect(uploadUrl).not.toContain(EXAMPLE_CREDENTIALS.accessKeyId)
  })

  it('expires with the credentials for uploads, not with those for reading', async () => {
    const endsAt = (seconds: number) => ({
      ...EXAMPLE_CREDENTIALS,
      expiresAt: NOW.getTime() + seconds * 1000,
    })
    const bucket = testBucket({ credentials: endsAt(10), uploadCredentials: endsAt(100) })
    expect(await createUploadUrl(bucket, KEY, FILE, NOW)).toMatchObject({ expiresIn: 100 })
  })

  // @threat url-changed
  it('signs the type and, when given, the size', async () => {
    const signed = async (file: object) => {
      const { uploadUrl } = await createUploadUrl(testBucket(), KEY, { ...FILE, ...file }, NOW)
      return new URL(uploadUrl).searchParams.get('X-Amz-SignedHeaders')
    }
    expect(await signed({})).toBe('content-type;host')
    expect(await signed({ size: 5 })).toBe('content-length;content-type;host')
  })
})
