import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import { cursorsOf } from '../../src/access/cursor.ts'
import { keySeed } from '../../src/access/key-seed.ts'
import { NO_LIMITS } from '../../src/access/limits.ts'
import { canonicalString, type LinkPolicy, signLink } from '../../src/access/link-signature.ts'
import { hashGuess, hashPassword } from '../../src/access/password.ts'
import type { Principal } from '../../src/access/principal.ts'
import { type Purpose, purpose } from '../../src/access/purpose-key.ts'
import { membersOf, seal } from '../../src/access/seal.ts'
import { provesUpload, uploadProof } from '../../src/access/upload-proof.ts'
import { userTag } from '../../src/access/user-tag.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { type BoxClaims, openBoxToken, sealBoxToken } from '../../src/plugins/drop-boxes/box.ts'
import { signFolder, verifyInFolder } from '../../src/plugins/links/folder.ts'
import { verifyLink } from '../../src/plugins/links/verify-link.ts'
import {
  openUploadId,
  sealUploadId,
  type UploadClaims,
} from '../../src/plugins/multipart/upload-id.ts'
import { mintToken, type TokenRequest, verifyToken } from '../../src/plugins/tokens/token.ts'
import {
  type FormPolicy,
  openComplete,
  openFormPolicy,
  openStart,
  type SignedStep,
  sealFormPolicy,
  sealStep,
} from '../../src/plugins/uppy/sealed.ts'
import { toBase64url, toHex } from '../support/base64.ts'
import { linkTarget } from '../support/link-target.ts'
import { signingSettings } from '../support/signing-settings.ts'

/*
 * What is signed and outlives a deploy, with a fixed time, secret and random bytes. `node:crypto` has made
 * these texts, from docs/maintainers/decisions/{links,sealed-values}.md. If one of these tests fails,
 * every such value in use is invalid: give the new format a new version, and keep reading the old one.
 */

const NOW = new Date('2026-11-24T12:00:00Z')
const SECRET = '0123456789abcdef0123456789abcdef'
const KEY = parseObjectKey('team-a/uploads/é b.png')
const settings = signingSettings(`k1:${SECRET}`)

beforeEach(() => {
  vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
    if (array instanceof Uint8Array) array.set(Array.from(array, (_, i) => i))
    return array
  })
})

afterEach(() => vi.restoreAllMocks())

/** Signs `text` as the documentation says, in this version of all formats or another one. */
async function signature(purpose: Purpose, text: string, version = 'v1'): Promise<string> {
  const utf8 = new TextEncoder()
  const info = utf8.encode(`edge-presigner/${version}/${purpose}`)
  const key = await crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info },
    await crypto.subtle.importKey('raw', utf8.encode(SECRET), 'HKDF', false, ['deriveKey']),
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign'],
  )
  return toBase64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, utf8.encode(text))))
}

/** Returns what `read` accepts, or why it refuses. */
const outcome = (read: Promise<unknown>): Promise<unknown> =>
  read.then(
    (found) => Reflect.get(Object(found), 'refusal') ?? found,
    (error: unknown) => Reflect.get(Object(error), 'code'),
  )

interface Signed {
  readonly purpose: Purpose
  readonly text: string
  readonly value: unknown
  readonly write: () => Promise<string>
  readonly read: (text: string) => Promise<unknown>
  /** Why a signature of another version is refused, and a new member, which may be a limit. */
  readonly refusals: readonly [signature: string, member?: string]
}

/** Returns the text of a seal. Before its claims, there is always `{"alg":"HS256","kid":"k1"}`. */
const sealed = (text: string): string => `eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.${text}`

const token = (
  request: Omit<TokenRequest, 'scopes'>,
  text: string,
  more: Partial<Principal> = {},
): Signed => {
  const principal = {
    ...({ id: 'key:ci', scopes: ['files:read', 'files:list'], prefix: 'team-a/' } as const),
    ...{ limits: NO_LIMITS, context: null },
  }
  const caller = { kind: 'key', ...principal, expiresAt: Infinity } as const
  const { scopes } = principal
  const expiresAt = NOW.getTime() + 600_000
  return {
    purpose: purpose('token'),
    text: `ept_${sealed(text)}`,
    value: { ok: true, principal: { kind: 'token', ...principal, expiresAt, ...more } },
    write: async () => (await mintToken(caller, { scopes, ...request }, settings, NOW)).token,
    read: (text) => verifyToken(text, settings, NOW),
    refusals: ['token signature wrong', 'token claims unusable'],
  }
}

const folder = (restrictions: string | undefined, text: string): Signed => {
  const prefix = parseObjectKey('team-a/é b/')
  const key = parseObjectKey(`${prefix}c.ts`)
  const expires = 1_795_522_500
  const path = 'team-a/%C3%A9%20b/'
  const policy = {
    bucket: 'files',
    key,
    expires,
    delivery: 'stream',
    download: null,
    variant: null,
  }
  return {
    purpose: purpose('folder'),
    text: sealed(text),
    value: { ok: true, policy: { ...policy, restrictions } },
    write: async () => {
      const base = await signFolder({ bucket: 'files', prefix, expires, restrictions }, settings)
      expect(base).toMatch(new RegExp(`^/f/[^/]+/${path}$`))
      return base.split('/')[2] ?? ''
    },
    read: (text) => verifyInFolder(`/f/${text}/${path}c.ts`, text, key, settings, NOW),
    refusals: ['link signature wrong', 'link malformed'],
  }
}

const form = (more: Partial<FormPolicy>, text: string): Signed => {
  const fields = {
    ...{ success_action_status: '201', 'content-type': 'image/png', key: KEY, bucket: 'store' },
  }
  const base = { bucket: 'files', owner: 'key:ci', name: 'é b.png', maxBytes: 1000, fields }
  const policy: FormPolicy = { ...base, ...more }
  return {
    purpose: purpose('form'),
    text: sealed(text),
    value: policy,
    write: () => sealFormPolicy(settings, policy, 800, NOW),
    read: (text) => openFormPolicy(settings, text, NOW),
    refusals: ['forbidden', 'forbidden'],
  }
}

const step = (claims: SignedStep, text: string): Signed => ({
  purpose: purpose('step'),
  text: sealed(text),
  value: claims,
  write: () => sealStep(settings, claims, 300, NOW),
  read: (text) => ('file' in claims ? openStart : openComplete)(settings, text, NOW),
  refusals: ['forbidden', 'forbidden'],
})

const uploadId = (claims: UploadClaims, text: string): Signed => ({
  purpose: purpose('upload'),
  text: sealed(text),
  value: claims,
  write: async () => (await sealUploadId(settings, claims, NOW)).uploadId,
  read: (text) => openUploadId(settings, claims, text, NOW),
  refusals: ['invalid_upload_id', 'invalid_upload_id'],
})

const OF_ALICE = { bucket: 'files', owner: 'key:ci/alice', key: KEY }
const FILE = { fileName: 'é b.png', mimetype: 'image/png', size: null }
const LIMITS = { buckets: ['files'], maxBytes: 1000, allowedTypes: ['image/*'], maxExpiresIn: 600 }
const CONTEXT = { plan: 'pro', é: [1, null] }
const PARTS: UploadClaims = {
  ...{ bucket: 'files', key: parseObjectKey('team-a/uploads/a.mp4'), owner: 'key:ci' },
  ...{ s3UploadId: '2~x+/=&<>', name: 'a.mp4', size: 20_000_000, partSize: 8_388_608 },
}
const CHOSEN: UploadClaims = {
  ...{ ...PARTS, key: parseObjectKey('avatars/42.png'), name: '42.png', size: 5 },
  ...{ mark: '0f8fad5b-d9cb-469f-a165-70867728950e', overwrite: true },
}
const SENDER: BoxClaims = {
  ...{ id: '0f8fad5bd9cb469fa16570867728950e', network: 'bmV0d29yaw', around: 'YXJvdW5k' },
  sender: { name: 'Zoë', note: 'for you' },
}
const cursors = cursorsOf(settings, ['files', 'files', 'team-a/', ''], z.string())

const SEALS: Readonly<Record<string, Signed>> = {
  'a token': token(
    {},
    'eyJpZCI6ImtleTpjaSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwfQ.g7D3dMjNVrlsPn8iSt1LcIi46ssWAx7ibVT5KQfj_ug',
  ),
  'a token of a user': token(
    { subject: 'alice@example.com' },
    'eyJpZCI6ImtleTpjaS9hbGljZUBleGFtcGxlLmNvbSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwfQ.kuo7P5FHbhxMSQ5il_9oPl4RmhV0QSaVjQTpUZmNaak',
    {
      id: 'key:ci/alice@example.com',
    },
  ),
  'a token with limits': token(
    { subject: 'alice', ...LIMITS, context: CONTEXT },
    'eyJpZCI6ImtleTpjaS9hbGljZSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwLCJidWNrZXRzIjpbImZpbGVzIl0sIm1heEJ5dGVzIjoxMDAwLCJhbGxvd2VkVHlwZXMiOlsiaW1hZ2UvKiJdLCJtYXhFeHBpcmVzSW4iOjYwMCwiY29udGV4dCI6eyJwbGFuIjoicHJvIiwiw6kiOlsxLG51bGxdfX0.lw45mLILmZDc6UXb4BwTt00WCvS_rAgGY2k-rrsjFNU',
    { id: 'key:ci/alice', limits: LIMITS, context: CONTEXT },
  ),
  'a link to a folder': folder(
    undefined,
    'eyJidWNrZXQiOiJmaWxlcyIsInByZWZpeCI6InRlYW0tYS_DqSBiLyIsImV4cCI6MTc5NTUyMjUwMH0.1X5wEjYsNA3yOgMlAyRr0KpwFwQf1Wgtnkin1wzVdjM',
  ),
  'a link to a folder for some': folder(
    'nbf=1795521600&ips=192.0.2.0/24&countries=DE',
    'eyJidWNrZXQiOiJmaWxlcyIsInByZWZpeCI6InRlYW0tYS_DqSBiLyIsImV4cCI6MTc5NTUyMjUwMCwicmVzdHJpY3Rpb25zIjoibmJmPTE3OTU1MjE2MDAmaXBzPTE5Mi4wLjIuMC8yNCZjb3VudHJpZXM9REUifQ.7dK2hst12btvLyp08Vfdzowa7D_brnHkZjgpILbGxNM',
  ),
  'a cursor': {
    purpose: purpose('cursor'),
    text: sealed(
      'eyJzZWNyZXQiOiJBQUVDQXdRRkJnY0lDUW9MYTFCYWUxMEVtRWdwZWp4SG9xQlRISktjXzJWM1lJUGFNNndSYTl2em1BayJ9.gDXGngB2NC_SBZA5oC6gb84piQJDr_Q4DEr2p0af9PQ',
    ),
    value: 'AAAA-kv-cursor',
    write: async () => (await cursors.seal('AAAA-kv-cursor')).cursor ?? '',
    read: (text) => cursors.open(text),
    refusals: ['invalid_cursor'],
  },
  'a form': form(
    {},
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwibmFtZSI6IsOpIGIucG5nIiwibWF4Qnl0ZXMiOjEwMDAsImZpZWxkcyI6eyJzdWNjZXNzX2FjdGlvbl9zdGF0dXMiOiIyMDEiLCJjb250ZW50LXR5cGUiOiJpbWFnZS9wbmciLCJrZXkiOiJ0ZWFtLWEvdXBsb2Fkcy_DqSBiLnBuZyIsImJ1Y2tldCI6InN0b3JlIn0sImV4cCI6MTc5NTUyMjQwMH0.EQ9kJskK79P8ZJ_jcsZpUax_z8cTsM2sKLF99v0LPzY',
  ),
  'a form of a user with a context': form(
    { owner: 'key:ci/alice', context: { plan: 'pro' } },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwibmFtZSI6IsOpIGIucG5nIiwibWF4Qnl0ZXMiOjEwMDAsImZpZWxkcyI6eyJzdWNjZXNzX2FjdGlvbl9zdGF0dXMiOiIyMDEiLCJjb250ZW50LXR5cGUiOiJpbWFnZS9wbmciLCJrZXkiOiJ0ZWFtLWEvdXBsb2Fkcy_DqSBiLnBuZyIsImJ1Y2tldCI6InN0b3JlIn0sImNvbnRleHQiOnsicGxhbiI6InBybyJ9LCJleHAiOjE3OTU1MjI0MDB9.368AWCiyIhm10tajQO3RiYFp5_Zx6-4QRHRFHY3CSD4',
  ),
  'a form for a chosen key': form(
    { overwrite: false },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwibmFtZSI6IsOpIGIucG5nIiwibWF4Qnl0ZXMiOjEwMDAsImZpZWxkcyI6eyJzdWNjZXNzX2FjdGlvbl9zdGF0dXMiOiIyMDEiLCJjb250ZW50LXR5cGUiOiJpbWFnZS9wbmciLCJrZXkiOiJ0ZWFtLWEvdXBsb2Fkcy_DqSBiLnBuZyIsImJ1Y2tldCI6InN0b3JlIn0sIm92ZXJ3cml0ZSI6ZmFsc2UsImV4cCI6MTc5NTUyMjQwMH0.eCL2j--5KzCGH9sxsPShKWOFcNzgjpnBwa2D9SSKjWg',
  ),
  'the start of an upload': step(
    { ...OF_ALICE, owner: 'key:ci', file: FILE },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiw6kgYi5wbmciLCJtaW1ldHlwZSI6ImltYWdlL3BuZyIsInNpemUiOm51bGx9LCJleHAiOjE3OTU1MjE5MDB9.hw200YinEsmsCS-tPvchRZwB0Usoxmto2yJRGt2DE6E',
  ),
  'the start of an upload with a limit': step(
    { ...OF_ALICE, file: FILE, maxBytes: 1000 },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiw6kgYi5wbmciLCJtaW1ldHlwZSI6ImltYWdlL3BuZyIsInNpemUiOm51bGx9LCJtYXhCeXRlcyI6MTAwMCwiZXhwIjoxNzk1NTIxOTAwfQ.r_h8VLBWO00IGj9aE6XxZKOEWaoRF2q4UUCKnryY6dk',
  ),
  'the start of an upload to a chosen key': step(
    {
      ...{ ...OF_ALICE, owner: 'key:ci' },
      file: { fileName: 'a', mimetype: 'a/b', size: null, overwrite: false },
    },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiYSIsIm1pbWV0eXBlIjoiYS9iIiwic2l6ZSI6bnVsbCwib3ZlcndyaXRlIjpmYWxzZX0sImV4cCI6MTc5NTUyMTkwMH0.3sdLcv0YXwdPMUiccTTvkEEXOzgUObEfni_IXrrkyIU',
  ),
  'the end of an upload': step(
    { ...OF_ALICE, uploadId: 'x', context: { plan: 'pro' } },
    'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJ1cGxvYWRJZCI6IngiLCJjb250ZXh0Ijp7InBsYW4iOiJwcm8ifSwiZXhwIjoxNzk1NTIxOTAwfQ.E_3gZYYK5nG7SO7MfWW5ksEflshVDJwo41NyWQdxwYA',
  ),
  'the token of a page of a drop box': {
    purpose: purpose('drop-box'),
    text: `epd_${sealed(
      'eyJpZCI6IjBmOGZhZDViZDljYjQ2OWZhMTY1NzA4Njc3Mjg5NTBlIiwibmV0d29yayI6ImJtVjBkMjl5YXciLCJhcm91bmQiOiJZWEp2ZFc1ayIsInNlbmRlciI6eyJuYW1lIjoiWm_DqyIsIm5vdGUiOiJmb3IgeW91In0sImV4cCI6MTc5NTUyMjIwMH0.sh1VGwoI9eP-XK8wtyyUZWvMvJYksD0pjVRR-kgryr8',
    )}`,
    value: { ...SENDER, exp: NOW.getTime() / 1000 + 600 },
    write: () => sealBoxToken(settings, SENDER, NOW.getTime() / 1000 + 600),
    read: (text) => openBoxToken(settings, text, NOW, 0),
    refusals: ['token signature wrong', 'token claims unusable'],
  },
  'the id of an upload in parts': uploadId(
    PARTS,
    'eyJidWNrZXQiOiJmaWxlcyIsImtleSI6InRlYW0tYS91cGxvYWRzL2EubXA0Iiwib3duZXIiOiJrZXk6Y2kiLCJuYW1lIjoiYS5tcDQiLCJzaXplIjoyMDAwMDAwMCwicGFydFNpemUiOjgzODg2MDgsInNlY3JldCI6IkFBRUNBd1FGQmdjSUNRb0xNak5vQ1VsWm4xRmxmUUJSOF9VRERGTDlPeWVaejRsOVYwLXROREpHMGdsSi1rZUp5SVowZV9BNyIsImV4cCI6MTc5NjEyNjQwMH0.dHtCNNej_jgLWWmNEqTb_7nmbJQrCCvLzDG_5yIaWoI',
  ),
  'the id of an upload to a chosen key': uploadId(
    CHOSEN,
    'eyJidWNrZXQiOiJmaWxlcyIsImtleSI6ImF2YXRhcnMvNDIucG5nIiwib3duZXIiOiJrZXk6Y2kiLCJuYW1lIjoiNDIucG5nIiwic2l6ZSI6NSwicGFydFNpemUiOjgzODg2MDgsIm92ZXJ3cml0ZSI6dHJ1ZSwic2VjcmV0IjoiQUFFQ0F3UUZCZ2NJQ1FvTE1qTm9DVWxabjFGbGZRQlI4X1VEREZMOU95ZVp6NGw5Vng2dzBRUmZWUUNNVGkxY1J6NUktTGZlNHV3SnNiY0pfcnpFSjZNWEd3S2N5LTRZSWVLc2V6ZGhBRm9ZM3pYcmN1RG0xOVNSMTEzZWt2VjdsZUJhOEEiLCJleHAiOjE3OTYxMjY0MDB9.aGGFctLqMN_6VVb6v23r7eGPENvQE8qBT7uCk_qphJw',
  ),
}

// @threat deploy-invalidates token-limit-skipped
it.each(Object.entries(SEALS))('%s has this text, and is still read', async (_, format) => {
  const { text, value, write, read } = format
  expect(await write()).toBe(text)
  expect(await read(text)).toEqual(value)
  const [, signed = '', mac] = /^(?:ep[td]_)?(.*)\.(.*)$/.exec(text) ?? []
  expect(mac).toBe(await signature(format.purpose, signed))
})

it.each(Object.entries(SEALS))('%s of a later version is refused', async (_, format) => {
  const { text, read, refusals } = format
  const [, start = '', signed = ''] = /^(ep[td]_)?(.*)\./.exec(text) ?? []
  const later = await signature(format.purpose, signed, 'v2')
  expect(await outcome(read(`${start}${signed}.${later}`))).toBe(refusals[0])
  if (refusals[1] === undefined) return
  const claims = { ...membersOf(signed.split('.')[1] ?? '') }
  const parts = [{ newer: 1 }, { file: { ...Object(claims.file), newer: 1 } }]
  for (const part of parts) {
    const more = await seal(settings.signingSecrets, format.purpose, { ...claims, ...part })
    expect(await outcome(read(start + more))).toBe(refusals[1])
  }
})

const SHOWN: LinkPolicy = {
  ...{ bucket: 'files', key: KEY, expires: 1_795_522_500, delivery: 'stream' },
  ...{ download: null, variant: null },
}
const NAMED = { ...SHOWN, download: 'Résumé (1).png' }

const LINKS: readonly (readonly [string, LinkPolicy, query: string])[] = [
  ['shows a file', SHOWN, 'exp=1795522500&kid=k1&sig=4QArfCz3-C7tSgU2ccBas2pYm0UQB8vvGbp_29HARbE'],
  [
    'downloads a file from the bucket',
    { ...NAMED, delivery: 'redirect' },
    'exp=1795522500&mode=redirect&dl=R%C3%A9sum%C3%A9%20%281%29.png&kid=k1&sig=_ep89AHdRcoNnp_iwQqwNIiZGolnfe8fVxXVKyyT3Kk',
  ],
  [
    'shows a resized image',
    { ...SHOWN, variant: { width: 320, format: 'auto', fallback: true } },
    'exp=1795522500&w=320&fmt=auto&fallback=original&kid=k1&sig=pirNDBdT8Ot-KXHnVnFZqReVinyFZ-zNuuhxAONgScY',
  ],
  [
    'is for some addresses and countries',
    { ...SHOWN, restrictions: 'nbf=1795521600&ips=192.0.2.0/24,2001:db8::/32&countries=AT,DE' },
    'exp=1795522500&nbf=1795521600&ips=192.0.2.0/24,2001:db8::/32&countries=AT,DE&kid=k1&sig=uGWKAEuDZC-dOAhuXcW-Pwl_jJA_5EP78U1Or0Joi4Q',
  ],
  [
    'downloads a resized image outside some countries',
    {
      ...{ ...NAMED, variant: { width: 320, format: 'auto', fallback: false } },
      restrictions: 'notCountries=US',
    },
    'exp=1795522500&dl=R%C3%A9sum%C3%A9%20%281%29.png&w=320&fmt=auto&notCountries=US&kid=k1&sig=leJwY8Y_wiYrH-EELkZhOqf-hcQW-hfsmKmSa_MA-gc',
  ],
]

// @threat deploy-invalidates
it.each(LINKS)('a link that %s has this text, and is still valid', async (_, policy, query) => {
  const link = `/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?${query}`
  const verify = (text: string) => verifyLink(linkTarget(text), 'files', KEY, settings, NOW)
  expect(await signLink(policy, settings)).toBe(link)
  expect(await verify(link)).toEqual({ ok: true, policy })
  const [start, mac] = link.split('&sig=')
  const canonical = canonicalString(policy)
  expect(mac).toBe(await signature(purpose('link'), canonical))
  const later = [
    await signature(purpose('link'), canonical.replace(' v1', ' v2')),
    await signature(purpose('link'), canonical, 'v2'),
  ]
  for (const other of later)
    expect(await outcome(verify(`${start}&sig=${other}`))).toBe('link signature wrong')
})

// @threat deploy-invalidates
it('the mark of an upload to a key that the app chose is made the same way, and still valid', async () => {
  const key = parseObjectKey('team-a/avatars/é b.png')
  const upload = { bucket: 'files', key, owner: 'app:ann' }
  const proof = 'GoEP1gOzid4OHVOKvAXWVY7aarG9myHiId-A8zSSsgo'
  expect(await uploadProof(settings, upload)).toBe(proof)
  for (const mark of [proof, `9d8a.${proof}`])
    expect(await provesUpload(settings, upload, mark)).toBe(true)
  for (const other of [
    { ...upload, bucket: 'other' },
    { ...upload, key: parseObjectKey('team-a/avatars/é c.png') },
    { ...upload, owner: 'app:bob' },
  ])
    expect(await provesUpload(settings, other, proof)).toBe(false)
  const later = await signature(purpose('proof'), JSON.stringify(['files', key, 'app:ann']), 'v2')
  expect(await provesUpload(settings, upload, later)).toBe(false)
})

// @threat deploy-invalidates
it('the tag of a user is still made the same way', async () => {
  const user = { id: 'key:ci/ann', prefix: 'team-a/é b/' }
  expect(await userTag(settings.signingSecrets[0], user)).toBe('5-L7YZtsswwFF7gV1-SxIw')
})

// @threat deploy-invalidates
it('the key of a repeated start is still made the same way', async () => {
  const of = { bucket: 'files', owner: 'key:ci' }
  const { now, random } = await keySeed(settings, of, '1795521600000-0123456789abcdef', NOW)
  expect(now).toEqual(NOW)
  expect(toHex(Uint8Array.from(random ?? []).buffer)).toBe(
    '87c217204575c84f585238544118d463058d0cc0da68a094b9e7f0801a6a6b0b',
  )
})

// @threat deploy-invalidates
it('the hash of a password is still made the same way, in each Unicode form', async () => {
  const hash = {
    kid: 'k1',
    salt: 'AAECAwQFBgcICQoLDA0ODw',
    hash: 'kCXBM3gjOiEpj_b_CMuYQhU__tCHms3N6-Py7w-001E',
  }
  expect(await hashPassword(settings, 'sésame')).toEqual(hash)
  expect(await hashGuess(settings, hash, 'se\u0301same')).toBe(hash.hash)
})
