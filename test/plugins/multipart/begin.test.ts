import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Bucket } from '../../../src/bucket/bucket.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import {
  beginMultipart,
  type MultipartRequest,
  signParts,
} from '../../../src/plugins/multipart/begin.ts'
import { openUploadId } from '../../../src/plugins/multipart/upload-id.ts'
import type { Settings } from '../../../src/settings/settings.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { scriptedBucket, started } from '../../support/scripted-bucket.ts'
import { verifyPresigned } from '../../support/sigv4-verifier.ts'
import { EXAMPLE_CREDENTIALS, testBucket } from '../../support/test-bucket.ts'
import { baseVariables } from '../../support/worker.ts'

const MIB = 1024 ** 2
const NOW = new Date('2026-11-24T12:00:00.900Z')
const WRITER = { ...EXAMPLE_CREDENTIALS, accessKeyId: 'AKIAWRITER', secretAccessKey: 'w' }
const bucket = testBucket({ uploadCredentials: WRITER })
const TO = { key: parseObjectKey('team-a/uploads/a.mp4'), owner: 'key:alice' }
const FILE: MultipartRequest = {
  fileName: 'a.mp4',
  mimetype: 'video/mp4',
  size: 20 * MIB,
  partSize: 8 * MIB,
}

const config = (): Settings => {
  const loaded = loadEnvironment(baseVariables())
  if (!loaded.ok) throw new Error('The test configuration is broken.')
  return loaded.settings
}

/** Returns the claims in the upload id of a new upload. */
async function claimsOf(changes: Partial<MultipartRequest>) {
  scriptedBucket({ CreateMultipartUpload: started('id') })
  const { uploadId } = await beginMultipart(config(), bucket, TO, { ...FILE, ...changes }, NOW)
  return openUploadId(config(), { bucket: 'files', ...TO }, uploadId, NOW)
}

afterEach(() => vi.unstubAllGlobals())

describe('a new upload', () => {
  it('is bound to bucket, key and principal, and holds the name and size of its file', async () => {
    expect(await claimsOf({})).toMatchObject({
      bucket: 'files',
      ...TO,
      s3UploadId: 'id',
      name: 'a.mp4',
      size: 20 * MIB,
      partSize: 8 * MIB,
    })
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
    const file = { ...FILE, metadata: { a: 'é' }, cacheControl: 'no-store' }
    const { key } = await beginMultipart(config(), bucket, TO, file, NOW)
    expect(key).toBe(TO.key)
    const [one] = sent
    expect(one?.url).toBe(`${bucket.origin}/${key}?uploads=`)
    expect(one?.headers.get('Content-Type')).toBe('video/mp4')
    expect(one?.headers.get('Cache-Control')).toBe('no-store')
    expect(one?.headers.get('x-amz-meta-a')).toBe('=?UTF-8?B?w6k=?=')
  })
})

const parts = (...numbers: number[]) => numbers.map((partNumber) => ({ partNumber }))

describe('the URL of a part', () => {
  const key = parseObjectKey('uploads/é a.mp4')
  const upload = { key, s3UploadId: '2~x +/=&', size: 20 * MIB, partSize: 8 * MIB }
  const server = { ...WRITER, region: bucket.region, now: NOW }

  it('is signed with the credentials for uploads, and with its length when that is known', async () => {
    const { urls } = await signParts(bucket, upload, parts(1, 3), undefined, NOW)
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
    const { urls } = await signParts(bucket, sizeless, parts(10_000), undefined, NOW)
    const sent = { method: 'PUT', url: urls[0]?.url ?? '' }
    expect(verifyPresigned(sent, server)).toMatchObject({ ok: true })
  })

  const limited = testBucket({ ...bucket, maxBytes: 12 * MIB })
  const lengthOf = async (of: Bucket, file: object, partNumber: number, size?: number) => {
    const signed = await signParts(of, { ...upload, ...file }, [{ partNumber, size }], 60, NOW)
    return signed.urls[0]?.url.includes('content-length') ?? false
  }

  // @threat upload-too-large
  it.each([
    ['planned for an unknown size', { size: null }, 8 * MIB],
    ['chosen by the client', { size: null, partSize: null }, 5 * MIB],
    ['chosen by the client, of a known size', { size: 12 * MIB, partSize: null }, 5 * MIB],
  ])('is signed up to what is left of the limit, if parts are %s', async (_, file, smallest) => {
    const last = Math.ceil((12 * MIB) / smallest)
    const left = 12 * MIB - (last - 1) * smallest
    expect(await lengthOf(limited, file, last, left)).toBe(true)
    const refused = {
      code: 'file_too_large',
      message: `A file may have at most ${12 * MIB} bytes here.`,
    }
    for (const [partNumber, size] of [
      [last, left + 1],
      [last + 1, 0],
      [last + 1, undefined],
      [10_000, 1],
    ] as const) {
      const signed = lengthOf(limited, file, partNumber, size)
      await expect(signed, `${partNumber}, ${size}`).rejects.toMatchObject(refused)
    }
    // The limit from the start of the upload applies where the bucket has none.
    const started = { ...file, maxBytes: 12 * MIB }
    await expect(lengthOf(bucket, started, last, left + 1)).rejects.toMatchObject(refused)
  })

  // @threat upload-too-large
  it('needs the size of a planned part where there is a limit, and no more than is planned', async () => {
    const unknown = { size: null }
    await expect(lengthOf(limited, unknown, 1)).rejects.toMatchObject({ code: 'size_required' })
    expect(await lengthOf(bucket, unknown, 1)).toBe(false)
    expect(await lengthOf(limited, unknown, 1, 8 * MIB)).toBe(true)
    for (const [file, size] of [
      [unknown, 8 * MIB + 1],
      [{}, 8 * MIB - 1],
      [{}, 8 * MIB + 1],
      [{ size: 10, partSize: null }, 11],
    ] as const)
      await expect(lengthOf(bucket, file, 1, size), `${size}`).rejects.toMatchObject({
        code: 'invalid_part',
        message: 'This file has no part 1 of this size.',
      })
    expect(await lengthOf(bucket, {}, 1, 8 * MIB)).toBe(true)
  })

  it('is signed without a length where the client chooses the parts and states none', async () => {
    expect(await lengthOf(limited, { size: null, partSize: null }, 3)).toBe(false)
    expect(await lengthOf(bucket, { size: null }, 10_000)).toBe(false)
  })

  it('is valid for the requested lifetime, and no longer than the credentials', async () => {
    expect(await signParts(bucket, upload, parts(1), 60, NOW)).toMatchObject({
      expiresIn: 60,
      expiresAt: '2026-11-24T12:01:00.000Z',
    })
    const ending = { ...WRITER, expiresAt: NOW.getTime() + 30_000 }
    const short = testBucket({ uploadCredentials: ending })
    expect(await signParts(short, upload, parts(1), undefined, NOW)).toMatchObject({
      expiresIn: 30,
    })
    await expect(signParts(short, upload, parts(1), 60, NOW)).rejects.toMatchObject({
      code: 'invalid_expiry',
    })
  })

  it('is refused for a part that the file does not have, together with all other parts', async () => {
    await expect(signParts(bucket, upload, parts(1, 4), undefined, NOW)).rejects.toMatchObject({
      code: 'invalid_part',
      message: 'This file has 3 parts.',
    })
  })
})
