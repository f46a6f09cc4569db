import { expect, it } from 'vitest'
import { createUploadUrl } from '../../src/core/single.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const KEY = parseObjectKey('uploads/a.txt')
const FILE = { fileName: 'a.txt', mimetype: 'text/plain' }

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
