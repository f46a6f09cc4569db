import { describe, expect, it } from 'vitest'
import type { Bucket } from '../../../src/bucket/bucket.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import { createPostForm, type PostFormRequest } from '../../../src/plugins/uppy/post-form.ts'
import { fromBase64 } from '../../support/base64.ts'
import { coded } from '../../support/errors.ts'
import { signingSettings } from '../../support/signing-settings.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00.900Z')
const FILE: PostFormRequest = {
  key: parseObjectKey('uploads/my-cat.jpg'),
  fileName: 'My Cat.JPG',
  mimetype: 'image/jpeg',
  metadata: {},
}

const form = (file: Partial<PostFormRequest> = {}, changes: Partial<Bucket> = {}) =>
  createPostForm(
    signingSettings(),
    { bucket: testBucket(changes), ownUrl: 'https://files.example.com/s3/form' },
    { ...FILE, ...file },
    { id: 'key:ci', context: null },
    NOW,
  )

const policyOf = (fields: Readonly<Record<string, string>>) =>
  JSON.parse(new TextDecoder().decode(fromBase64(fields.Policy ?? '')))

describe('a form', () => {
  it('goes to the bucket itself, with either addressing', async () => {
    expect((await form()).url).toBe('https://examplebucket.s3.amazonaws.com/')
    const path = { origin: 'http://127.0.0.1:9000', basePath: '/store/files/' }
    expect((await form({}, path)).url).toBe('http://127.0.0.1:9000/store/files/')
  })

  it("goes to the Worker when the bucket's server does not accept forms", async () => {
    const { url, fields } = await form({}, { postUploads: false })
    expect(url).toBe('https://files.example.com/s3/form')
    expect(Object.keys(fields)).toEqual([
      'success_action_status',
      'content-type',
      'key',
      'bucket',
      'policy',
    ])
  })

  it('requests a 201, and contains the type and metadata unchanged', async () => {
    const { fields } = await form({ metadata: { name: 'Zoë  x', empty: '' } })
    expect(fields).toMatchObject({
      success_action_status: '201',
      'content-type': 'image/jpeg',
      'x-amz-meta-name': 'Zoë  x',
      'x-amz-meta-empty': '',
    })
  })

  it('has no type when the client sends none', async () => {
    expect((await form({ mimetype: undefined })).fields).not.toHaveProperty('content-type')
  })

  it("is valid as long as Companion's form, or as the bucket and its credentials allow", async () => {
    const { fields, expiresIn } = await form()
    expect(expiresIn).toBe(800)
    expect(policyOf(fields).expiration).toBe('2026-11-24T12:13:20Z')
    expect(fields['X-Amz-Date']).toBe('20261124T120000Z')
    const { maxExpiresIn } = testBucket()
    expect((await form({}, { maxExpiresIn: { ...maxExpiresIn, upload: 60 } })).expiresIn).toBe(60)
    const ending = { ...EXAMPLE_CREDENTIALS, expiresAt: NOW.getTime() + 10_000 }
    expect((await form({}, { uploadCredentials: ending })).expiresIn).toBe(10)
  })

  it('is signed with the credentials for uploads', async () => {
    const uploadCredentials = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'AKIAWRITER' }
    const { fields } = await form({}, { uploadCredentials })
    expect(fields['X-Amz-Credential']).toMatch(/^AKIAWRITER\//)
  })

  it.each([
    [null, 5 * 1024 ** 3],
    [1000, 1000],
    [6 * 1024 ** 3, 5 * 1024 ** 3],
  ])(
    "accepts a file up to the limit %s of the bucket, and up to S3's limit",
    async (maxBytes, limit) => {
      const { fields } = await form({}, { maxBytes })
      expect(policyOf(fields).conditions).toContainEqual(['content-length-range', 0, limit])
    },
  )
})

describe('a form is refused', () => {
  it.each([
    ['for too much metadata', { metadata: { a: 'x'.repeat(2048) } }, {}, 'invalid_request'],
    [
      'where its credentials have ended',
      {},
      { uploadCredentials: { ...EXAMPLE_CREDENTIALS, expiresAt: 0 } },
      'misconfigured expired',
    ],
  ] as const)('%s', async (_, file, changes, code) => {
    await expect(form(file, changes)).rejects.toMatchObject(coded(code))
  })

  it('for its metadata first, then for its lifetime', async () => {
    const expired = { uploadCredentials: { ...EXAMPLE_CREDENTIALS, expiresAt: 0 } }
    const metadata = { a: 'x'.repeat(2048) }
    await expect(form({ metadata }, expired)).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('for metadata over the limit, counted in bytes of names and values', async () => {
    await expect(form({ metadata: { a: 'x'.repeat(2047) } })).resolves.toBeDefined()
    await expect(form({ metadata: { a: 'é'.repeat(1024) } })).rejects.toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'metadata', message: 'must not be longer than 2048 bytes' }],
    })
  })
})

describe('a form for a bucket with uploadHeaders', () => {
  const uploadHeaders = {
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': 'alias/files',
    'x-amz-storage-class': 'STANDARD_IA',
    'x-amz-tagging': 'team=web&cost%20center=R%2BD',
    'x-amz-acl': 'private',
  }
  const requestHeaders = { 'x-amz-expected-bucket-owner': '111122223333' }

  it("has them as S3's fields, all of them in the policy", async () => {
    const { fields } = await form({}, { uploadHeaders, requestHeaders })
    const expected = {
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'alias/files',
      'x-amz-storage-class': 'STANDARD_IA',
      tagging:
        '<Tagging><TagSet><Tag><Key>team</Key><Value>web</Value></Tag><Tag><Key>cost center</Key><Value>R+D</Value></Tag></TagSet></Tagging>',
      acl: 'private',
      'x-amz-expected-bucket-owner': '111122223333',
    }
    expect(fields).toMatchObject(expected)
    for (const name of ['x-amz-tagging', 'x-amz-acl']) expect(fields).not.toHaveProperty(name)
    for (const [name, value] of Object.entries(expected))
      expect(policyOf(fields).conditions).toContainEqual({ [name]: value })
  })

  it('has none of them when the Worker takes it, which adds them itself', async () => {
    const { fields } = await form({}, { uploadHeaders, requestHeaders, postUploads: false })
    expect(Object.keys(fields)).toEqual([
      'success_action_status',
      'content-type',
      'key',
      'bucket',
      'policy',
    ])
  })
})
