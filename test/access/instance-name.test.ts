import type { JWTPayload } from 'jose'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { cursorsOf } from '../../src/access/cursor.ts'
import { NO_LIMITS } from '../../src/access/limits.ts'
import { type LinkPolicy, signLink } from '../../src/access/link-signature.ts'
import { encryptionKey, purpose, purposeKey } from '../../src/access/purpose-key.ts'
import { seal } from '../../src/access/seal.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { verifyLink } from '../../src/plugins/links/verify-link.ts'
import {
  openUploadId,
  sealUploadId,
  type UploadClaims,
} from '../../src/plugins/multipart/upload-id.ts'
import { mintToken, verifyToken } from '../../src/plugins/tokens/token.ts'
import { fromBase64, toHex } from '../support/base64.ts'
import { linkTarget } from '../support/link-target.ts'
import { signingSettings } from '../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00Z')
const SECRET = 'k1:0123456789abcdef0123456789abcdef'
const KEY = parseObjectKey('a.txt')
const named = (name: string) => signingSettings(SECRET, name)

/** Equal secrets with different names: one is empty, and two differ in one character. */
const STRANGERS = [
  ['', 'media'],
  ['media', ''],
  ['media', 'medib'],
  ['media', 'media-'],
] as const

describe.each(STRANGERS)(
  'instance %j refuses these from instance %j with equal secrets:',
  (own, other) => {
    it('a link', async () => {
      const policy: LinkPolicy = {
        bucket: 'files',
        key: KEY,
        expires: 1_795_522_500,
        delivery: 'stream',
        download: null,
        variant: null,
      }
      const target = linkTarget(await signLink(policy, named(other)))
      const verdict = (name: string) => verifyLink(target, 'files', KEY, named(name), NOW)
      expect(await verdict(other)).toMatchObject({ ok: true })
      expect(await verdict(own)).toEqual({
        ok: false,
        refusal: 'link signature wrong',
      })
    })

    it('a token', async () => {
      const caller = {
        kind: 'key' as const,
        id: 'key:ci',
        scopes: [],
        prefix: '',
        expiresAt: Infinity,
        limits: NO_LIMITS,
        context: null,
      }
      const { token } = await mintToken(caller, { scopes: [] }, named(other), NOW)
      expect(await verifyToken(token, named(other), NOW)).toMatchObject({ ok: true })
      expect(await verifyToken(token, named(own), NOW)).toMatchObject({ ok: false })
    })

    it('a cursor', async () => {
      const list = (name: string) => cursorsOf(named(name), ['files'], z.string())
      const { cursor } = await list(other).seal('AAAA')
      expect(await list(other).open(cursor)).toBe('AAAA')
      await expect(list(own).open(cursor)).rejects.toMatchObject({
        code: 'invalid_cursor',
      })
    })

    it('an upload id, and the encrypted S3 id inside an upload id that it signed itself', async () => {
      const claims: UploadClaims = {
        bucket: 'files',
        key: KEY,
        owner: 'key:ci',
        s3UploadId: 's3-id',
        name: 'a.txt',
        size: null,
        partSize: null,
      }
      const { uploadId } = await sealUploadId(named(other), claims, NOW)
      expect(await openUploadId(named(other), claims, uploadId, NOW)).toEqual(claims)
      await expect(openUploadId(named(own), claims, uploadId, NOW)).rejects.toMatchObject({
        code: 'invalid_upload_id',
      })

      const payload = fromBase64(uploadId.split('.')[1] ?? '')
      const sealed: JWTPayload = JSON.parse(new TextDecoder().decode(payload))
      const resealed = await seal(named(own).signingSecrets, purpose('upload'), sealed)
      await expect(openUploadId(named(own), claims, resealed, NOW)).rejects.toThrow()
    })
  },
)

// @threat instance-confused
it('derives a different key for each purpose and each name', async () => {
  const purposes = ['token', 'cursor', 'link', 'folder', 'upload'].map(purpose)
  const names = ['', 'a', 'b', 'token', 'link', 'upload']
  const macs = names.flatMap((name) =>
    purposes.map(async (one) => {
      const key = await purposeKey(named(name).signingSecrets[0], one)
      return toHex(await crypto.subtle.sign('HMAC', key, new Uint8Array(1)))
    }),
  )
  expect(new Set(await Promise.all(macs)).size).toBe(30)
  const texts = names.map(async (name) => {
    const key = await encryptionKey(named(name).signingSecrets[0])
    const algorithm = { name: 'AES-GCM', iv: new Uint8Array(12) }
    return toHex(await crypto.subtle.encrypt(algorithm, key, new Uint8Array(1)))
  })
  expect(new Set(await Promise.all(texts)).size).toBe(names.length)
})

/** Made with `node:crypto`: HKDF-SHA-256 without salt, info `edge-presigner/v1/link/media`. */
it('a named instance still signs the same link', async () => {
  const policy: LinkPolicy = {
    bucket: 'files',
    key: parseObjectKey('team-a/uploads/é b.png'),
    expires: 1_795_522_500,
    delivery: 'stream',
    download: null,
    variant: null,
  }
  expect(new URL(await signLink(policy, named('media')), 'https://a').searchParams.get('sig')).toBe(
    'AZit589j9NEPm8grbZvptYqdcIXsKjoT3VBiJEppVuU',
  )
})
