import { describe, expect, it } from 'vitest'
import { newObjectKey } from '../../src/keys/new-key.ts'
import { presignCreate, presignOperation } from '../../src/uppy/s3-operation.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const WRITER = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'AKIAWRITER', sessionToken: 'a/b+c=' }
const bucket = testBucket({ uploadCredentials: WRITER })
const server = { ...WRITER, region: bucket.region, now: NOW }
const key = newObjectKey({ fileName: 'a.mp4', prefix: '', now: NOW })

/** The errors of a new upload, in the order in which they are reported. */
const FAILURES = [
  ['size_required', { maxBytes: 1 }, {}, undefined],
  ['invalid_key', {}, { directory: 'a/..' }, undefined],
  ['invalid_mimetype', {}, { mimetype: 'nonsense' }, undefined],
  ['invalid_request', {}, { metadata: { a: 'x'.repeat(2048) } }, undefined],
  ['invalid_expiry', {}, {}, 3601],
] as const

it.each(FAILURES)('refuses a new upload with %s, alone and before later errors', async (code) => {
  const later = FAILURES.slice(FAILURES.findIndex(([name]) => name === code))
  for (const failures of [later.slice(0, 1), later]) {
    const changes = Object.assign({}, ...failures.map(([, limits]) => limits))
    const file = Object.assign(
      { fileName: 'a.mp4', mimetype: 'video/mp4' },
      ...failures.map(([, , members]) => members),
    )
    const seconds = failures.at(-1)?.[3]
    await expect(
      presignCreate({ ...bucket, ...changes }, file, '', seconds, NOW),
    ).rejects.toMatchObject({ code })
  }
})

describe('the S3 request of a client', () => {
  it('may be CreateMultipartUpload for a new key, with signed headers', async () => {
    const file = { fileName: 'a.mp4', mimetype: 'video/mp4', metadata: { a: 'é' }, directory: 'x' }
    const created = await presignCreate(bucket, file, 'team-a/', undefined, NOW)
    expect(created.key).toMatch(/^team-a\/uploads\/x\/[0-9a-z]{20}-a\.mp4$/)
    const { url, headers } = created
    expect(headers).toEqual({ 'Content-Type': 'video/mp4', 'x-amz-meta-a': '=?UTF-8?B?w6k=?=' })
    expect(verifyPresigned({ method: 'POST', url, headers }, server)).toMatchObject({
      ok: true,
      path: `/${created.key}`,
      query: { uploads: '' },
    })
    const other = { ...headers, 'Content-Type': 'text/html' }
    expect(verifyPresigned({ method: 'POST', url, headers: other }, server).ok).toBe(false)
  })

  it.each([
    ['PUT', { name: 'UploadPart', s3UploadId: 'id', partNumber: 7 }, { partNumber: '7' }],
    ['GET', { name: 'ListParts', s3UploadId: 'id' }, {}],
    ['POST', { name: 'CompleteMultipartUpload', s3UploadId: 'id' }, {}],
    ['DELETE', { name: 'AbortMultipartUpload', s3UploadId: 'id' }, {}],
  ] as const)('may be %s for one upload: %o', async (method, operation, query) => {
    const { url, ...others } = await presignOperation(bucket, key, operation, 60, NOW)
    expect(others).toEqual({ key })
    const verification = verifyPresigned({ method, url }, server)
    expect(verification).toMatchObject({ ok: true, path: `/${key}` })
    expect(verification.ok && verification.query).toEqual({ ...query, uploadId: 'id' })
    const later = { ...server, now: new Date(NOW.getTime() + 61_000) }
    expect(verifyPresigned({ method, url }, later)).toEqual({ ok: false, reason: 'expired' })
  })

  it('completes without replacing an object when the server supports it', async () => {
    const aws = { ...bucket, conditionalComplete: true }
    const complete = { name: 'CompleteMultipartUpload', s3UploadId: 'id' } as const
    const { url, headers } = await presignOperation(aws, key, complete, 60, NOW)
    expect(headers).toEqual({ 'If-None-Match': '*' })
    expect(verifyPresigned({ method: 'POST', url, headers: { ...headers } }, server).ok).toBe(true)
    expect(verifyPresigned({ method: 'POST', url }, server).ok).toBe(false)
    const part = { name: 'UploadPart', s3UploadId: 'id', partNumber: 1 } as const
    expect(await presignOperation(aws, key, part, 60, NOW)).not.toHaveProperty('headers')
  })

  it('cannot send a part or complete an upload that started more than seven days ago', async () => {
    const week = NOW.getTime() + 604_800_000
    for (const operation of [
      { name: 'UploadPart', s3UploadId: 'id', partNumber: 1 },
      { name: 'CompleteMultipartUpload', s3UploadId: 'id' },
    ] as const) {
      const at = (now: number) => presignOperation(bucket, key, operation, 60, new Date(now))
      expect(await at(week)).toMatchObject({ key })
      await expect(at(week + 1), operation.name).rejects.toMatchObject({ code: 'upload_not_found' })
    }
    for (const name of ['ListParts', 'AbortMultipartUpload'] as const)
      expect(
        await presignOperation(bucket, key, { name, s3UploadId: 'id' }, 60, new Date(week + 1)),
      ).toMatchObject({ key })
  })

  it('is refused after the credentials for uploads expire', async () => {
    const uploadCredentials = { ...WRITER, expiresAt: NOW.getTime() }
    const ended = { ...bucket, uploadCredentials }
    const list = { name: 'ListParts', s3UploadId: 'id' } as const
    await expect(presignOperation(ended, key, list, 60, NOW)).rejects.toMatchObject({
      code: 'credentials_expired',
    })
  })
})
