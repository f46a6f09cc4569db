import { afterEach, describe, expect, it, vi } from 'vitest'
import { openUploadId } from '../../src/access/upload-id.ts'
import { loadEnvironment } from '../../src/cloudflare/environment.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import type { Settings } from '../../src/settings/settings.ts'
import { type MultipartRequest, signParts, startMultipart } from '../../src/uploads/multipart.ts'
import { scriptedBucket, started } from '../support/scripted-bucket.ts'
import { verifyPresigned } from '../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../support/test-bucket.ts'
import { baseVariables } from '../support/worker.ts'

const MIB = 1024 ** 2
const NOW = new Date('2026-11-24T12:00:00.900Z')
const WRITER = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'AKIAWRITER', secretAccessKey: 'w' }
const bucket = testBucket({ uploadCredentials: WRITER })
const ALICE = { id: 'key:alice', prefix: 'team-a/' }
const FILE: MultipartRequest = { fileName: 'a.mp4', mimetype: 'video/mp4', size: 20 * MIB }

const config = (): Settings => {
  const loaded = loadEnvironment(baseVariables())
  if (!loaded.ok) throw new Error('The test configuration is broken.')
  return loaded.settings
}

/** Returns the claims in the upload id of a new upload. */
async function claimsOf(changes: Partial<MultipartRequest>) {
  scriptedBucket({ CreateMultipartUpload: started('id') })
  const { key, uploadId } = await startMultipart(
    config(),
    bucket,
    ALICE,
    { ...FILE, ...changes },
    NOW,
  )
  return openUploadId(config(), { bucket: 'files', key, owner: ALICE.id }, uploadId, NOW)
}

afterEach(() => vi.unstubAllGlobals())

describe('a new upload', () => {
  it('is bound to bucket, key and principal, and holds the name and size of its file', async () => {
    expect(await claimsOf({})).toMatchObject({
      bucket: 'files',
      key: expect.stringMatching(/^team-a\/uploads\//),
      owner: 'key:alice',
      s3UploadId: 'id',
      name: 'a.mp4',
      size: 20 * MIB,
      partSize: 8 * MIB,
    })
  })

  it('has no part size when the size of the file was not declared', async () => {
    expect(await claimsOf({ size: null })).toMatchObject({ size: null, partSize: null })
  })

  it('has the planned part size when the size of the file is not known yet', async () => {
    const claims = await claimsOf({ size: null, partSize: 6 * MIB })
    expect(claims).toMatchObject({ size: null, partSize: 6 * MIB })
  })

  it('keeps at most 255 bytes of a name, cut between characters', async () => {
    expect((await claimsOf({ fileName: 'a'.repeat(1024) })).name).toBe('a'.repeat(255))
    expect((await claimsOf({ fileName: '漢'.repeat(1024) })).name).toBe('漢'.repeat(85))
    expect((await claimsOf({ fileName: '😀'.repeat(500) })).name).toBe('😀'.repeat(63))
  })

  it('starts in the bucket under the same key, with all headers of the object', async () => {
    const sent = scriptedBucket({ CreateMultipartUpload: started('id') })
    const { key } = await startMultipart(
      config(),
      bucket,
      ALICE,
      { ...FILE, metadata: { a: 'é' }, cacheControl: 'no-store', directory: 'x' },
      NOW,
    )
    expect(key).toMatch(/^team-a\/uploads\/x\/[0-9a-z]{20}-a\.mp4$/)
    const [one] = sent
    expect(one?.url).toBe(`${bucket.origin}/${key}?uploads=`)
    expect(one?.headers.get('Content-Type')).toBe('video/mp4')
    expect(one?.headers.get('Cache-Control')).toBe('no-store')
    expect(one?.headers.get('x-amz-meta-a')).toBe('=?UTF-8?B?w6k=?=')
  })
})

describe('the URL of a part', () => {
  const key = parseObjectKey('uploads/é a.mp4')
  const upload = { key, s3UploadId: '2~x +/=&', size: 20 * MIB, partSize: 8 * MIB }
  const server = { ...WRITER, region: bucket.region, now: NOW }

  it('is signed with the credentials for uploads, and with its length when that is known', async () => {
    const { urls } = await signParts(bucket, upload, [1, 3], undefined, NOW)
    for (const [index, length] of [8 * MIB, 4 * MIB].entries()) {
      const { partNumber = 0, url = '' } = urls[index] ?? {}
      const sent = { method: 'PUT', url, headers: { 'Content-Length': String(length) } }
      expect(verifyPresigned(sent, server)).toMatchObject({
        ok: true,
        path: `/${key}`,
        query: { partNumber: String(partNumber), uploadId: '2~x +/=&' },
      })
    }
  })

  it('is signed without a length when the size was not declared', async () => {
    const sizeless = { ...upload, size: null, partSize: null }
    const { urls } = await signParts(bucket, sizeless, [10_000], undefined, NOW)
    const sent = { method: 'PUT', url: urls[0]?.url ?? '' }
    expect(verifyPresigned(sent, server)).toMatchObject({ ok: true })
  })

  // @threat upload-too-large
  it('is refused beyond the largest file of the bucket, while the size is unknown', async () => {
    const unknown = { ...upload, size: null }
    const limited = testBucket({ ...bucket, maxBytes: 8 * MIB })
    expect((await signParts(limited, unknown, [1], undefined, NOW)).urls).toHaveLength(1)
    await expect(signParts(limited, unknown, [1, 2], undefined, NOW)).rejects.toMatchObject({
      code: 'file_too_large',
      message: `A file may have at most ${8 * MIB} bytes here.`,
    })
    const url = (await signParts(bucket, unknown, [10_000], undefined, NOW)).urls[0]?.url ?? ''
    expect(verifyPresigned({ method: 'PUT', url }, server)).toMatchObject({ ok: true })
  })

  it('is valid for the requested lifetime, and no longer than the credentials', async () => {
    expect(await signParts(bucket, upload, [1], 60, NOW)).toMatchObject({
      expiresIn: 60,
      expiresAt: '2026-11-24T12:01:00.000Z',
    })
    const ending = { ...WRITER, expiresAt: NOW.getTime() + 30_000 }
    const short = testBucket({ uploadCredentials: ending })
    expect(await signParts(short, upload, [1], undefined, NOW)).toMatchObject({ expiresIn: 30 })
    await expect(signParts(short, upload, [1], 60, NOW)).rejects.toMatchObject({
      code: 'invalid_expiry',
    })
  })

  it('is refused for a part that the file does not have, together with all other parts', async () => {
    await expect(signParts(bucket, upload, [1, 4], undefined, NOW)).rejects.toMatchObject({
      code: 'invalid_part',
      message: 'This file has 3 parts.',
    })
  })
})
