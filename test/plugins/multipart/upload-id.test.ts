import fc from 'fast-check'
import { UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { purpose } from '../../../src/access/purpose-key.ts'
import { seal } from '../../../src/access/seal.ts'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import {
  openUploadId,
  sealUploadId,
  type UploadClaims,
} from '../../../src/plugins/multipart/upload-id.ts'
import { hostileText } from '../../support/hostile.ts'
import { signingSettings } from '../../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const secondsLater = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const refused = { code: 'invalid_upload_id' }

const CLAIMS: UploadClaims = {
  bucket: 'files',
  key: parseObjectKey('team-a/uploads/a.mp4'),
  owner: 'key:ci',
  s3UploadId: '2~x+/=&<>',
  name: 'a.mp4',
  size: 20_000_000,
  partSize: 8_388_608,
}

const OLD = `old:${'o'.repeat(32)}`
const NEW = `new:${'n'.repeat(32)}`
const config = signingSettings(OLD)
let uploadId: string

beforeAll(async () => {
  uploadId = (await sealUploadId(config, CLAIMS, NOW)).uploadId
})

it('holds everything about an upload, and needs no encoding in a path', async () => {
  expect(await openUploadId(config, CLAIMS, uploadId, NOW)).toMatchObject(CLAIMS)
  expect(uploadId).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  expect(encodeURIComponent(uploadId)).toBe(uploadId)
})

it('holds an upload of unknown size', async () => {
  const claims = { ...CLAIMS, size: null, partSize: null }
  const { uploadId: sealed } = await sealUploadId(config, claims, NOW)
  expect(await openUploadId(config, CLAIMS, sealed, NOW)).toMatchObject(claims)
})

it('holds any file name and any S3 id', async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, hostileText, async (name, s3UploadId) => {
      const { uploadId: sealed } = await sealUploadId(config, { ...CLAIMS, name, s3UploadId }, NOW)
      expect(await openUploadId(config, CLAIMS, sealed, NOW)).toMatchObject({ name, s3UploadId })
    }),
  )
})

describe('an upload id is refused for', () => {
  it.each<readonly [string, object]>([
    ['a different bucket', { bucket: 'archive' }],
    ['a bucket name in different case', { bucket: 'Files' }],
    ['a different key', { key: 'team-a/uploads/b.mp4' }],
    ['a key with the same start', { key: 'team-a/uploads/a.mp4x' }],
    ['a key in different case', { key: 'team-a/uploads/A.mp4' }],
    ['a different principal', { owner: 'key:cd' }],
    ['a principal of a different kind', { owner: 'jwt:ci' }],
    ['nobody', { owner: '' }],
  ])('%s', async (_, changes) => {
    const scope = { ...CLAIMS, ...changes }
    await expect(openUploadId(config, scope, uploadId, NOW)).rejects.toMatchObject(refused)
  })
})

describe('the lifetime of an upload id', () => {
  // @threat replaced-after-immutable
  it('is seven days, to the second', async () => {
    const { expiresAt } = await sealUploadId(config, CLAIMS, NOW)
    expect(expiresAt).toEqual(secondsLater(604_800))
    const last = secondsLater(604_799.999)
    expect(await openUploadId(config, CLAIMS, uploadId, last)).toMatchObject(CLAIMS)
    const ended = openUploadId(config, CLAIMS, uploadId, secondsLater(604_800))
    await expect(ended).rejects.toMatchObject(refused)
  })
})

describe('a rotated secret', () => {
  it('opens the ids that it encrypted as long as it is configured', async () => {
    const both = signingSettings(`${NEW},${OLD}`)
    expect(await openUploadId(both, CLAIMS, uploadId, NOW)).toMatchObject(CLAIMS)
    const { uploadId: anew } = await sealUploadId(both, CLAIMS, NOW)
    expect(await openUploadId(signingSettings(NEW), CLAIMS, anew, NOW)).toMatchObject(CLAIMS)
    await expect(openUploadId(config, CLAIMS, anew, NOW)).rejects.toMatchObject(refused)
    await expect(openUploadId(signingSettings(NEW), CLAIMS, uploadId, NOW)).rejects.toMatchObject(
      refused,
    )
  })

  it('with the same name but a different value opens nothing', async () => {
    const foreign = signingSettings(`old:${'p'.repeat(32)}`)
    await expect(openUploadId(foreign, CLAIMS, uploadId, NOW)).rejects.toMatchObject(refused)
  })
})

describe('upload ids are refused:', () => {
  const { signingSecrets } = config
  const exp = NOW.getTime() / 1000 + 60

  it.each<readonly [string, () => string | Promise<string>]>([
    ['nothing', () => ''],
    ['a dot', () => '.'],
    ['two dots', () => '..'],
    ['garbage', () => 'garbage'],
    ['text that is not base64url', () => 'ü.ü.ü'],
    ['a megabyte of text', () => 'a'.repeat(1024 ** 2)],
    ['a JWS of a megabyte', () => `${uploadId}${'A'.repeat(1024 ** 2)}`],
    ["S3's own id", () => CLAIMS.s3UploadId],
    ['an id without its signature', () => uploadId.replace(/[^.]+$/, '')],
    ['an id with an extra character', () => `${uploadId}A`],
    ['an id with alg none', () => new UnsecuredJWT({ ...CLAIMS, exp }).encode()],
    ['a token', () => seal(signingSecrets, purpose('token'), { ...CLAIMS, exp })],
    ['a cursor', () => seal(signingSecrets, purpose('cursor'), { ...CLAIMS, exp })],
    ['a link', () => seal(signingSecrets, purpose('link'), { ...CLAIMS, exp })],
    [
      'an id without an S3 id',
      () => seal(signingSecrets, purpose('upload'), { ...CLAIMS, s3UploadId: '' }),
    ],
    [
      'an id without a file name',
      () => seal(signingSecrets, purpose('upload'), { ...CLAIMS, name: undefined }),
    ],
    [
      'an id with half a byte',
      () => seal(signingSecrets, purpose('upload'), { ...CLAIMS, size: 0.5 }),
    ],
  ])('%s', async (_, make) => {
    const opened = openUploadId(config, CLAIMS, await make(), NOW)
    await expect(opened).rejects.toMatchObject(refused)
  })

  it('any other text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(hostileText, fc.base64String()), async (text) => {
        await expect(openUploadId(config, CLAIMS, text, NOW)).rejects.toMatchObject(refused)
      }),
    )
  })

  it('an id with a single changed character', async () => {
    // The last character of a part may hold bits that decoding drops. The highest of its six bits
    // always counts.
    const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const [index, character] of [...uploadId].entries()) {
      if (character === '.') continue
      const other = BASE64URL.charAt(BASE64URL.indexOf(character) ^ 32)
      const changed = uploadId.slice(0, index) + other + uploadId.slice(index + 1)
      await expect(openUploadId(config, CLAIMS, changed, NOW), changed).rejects.toMatchObject(
        refused,
      )
    }
  })
})

it('refuses every invalid id with the same message', async () => {
  const messages = await Promise.all(
    [
      openUploadId(config, CLAIMS, 'garbage', NOW),
      openUploadId(config, CLAIMS, uploadId, secondsLater(604_800)),
      openUploadId(config, { ...CLAIMS, owner: 'key:cd' }, uploadId, NOW),
      openUploadId(config, { ...CLAIMS, bucket: 'archive' }, uploadId, NOW),
    ].map((opened) => opened.catch(({ message }: Error) => message)),
  )
  expect(new Set(messages)).toEqual(new Set([expect.stringContaining('another upload')]))
})
