import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { cursorsOf } from '../../src/access/cursor.ts'
import { NO_LIMITS } from '../../src/access/limits.ts'
import { type LinkPolicy, signLink } from '../../src/access/link-signature.ts'
import { purpose } from '../../src/access/purpose-key.ts'
import { seal } from '../../src/access/seal.ts'
import { provesUpload, uploadProof } from '../../src/access/upload-proof.ts'
import { userTag } from '../../src/access/user-tag.ts'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { signFolder, verifyInFolder } from '../../src/plugins/links/folder.ts'
import { verifyLink } from '../../src/plugins/links/verify-link.ts'
import {
  openUploadId,
  sealUploadId,
  type UploadClaims,
} from '../../src/plugins/multipart/upload-id.ts'
import { mintToken, verifyToken } from '../../src/plugins/tokens/token.ts'
import {
  openComplete,
  openFormPolicy,
  openStart,
  sealFormPolicy,
  sealUploadStep,
} from '../../src/plugins/uppy/sealed.ts'
import { fromBase64 } from '../support/base64.ts'
import { linkTarget } from '../support/link-target.ts'
import { signingSettings } from '../support/signing-settings.ts'

/*
 * Values that clients hold must stay valid after a deploy. These values were made with
 * `node:crypto`, from the secret below and docs/maintainers/decisions/{links,sealed-values}.md. If
 * one of these tests fails, every such value in use is now invalid: give the new format a new
 * version, and keep reading the old one.
 */

const NOW = new Date('2026-11-24T12:00:00Z')
const KEY = parseObjectKey('team-a/uploads/é b.png')
const config = signingSettings()

const SHOWN =
  '/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?exp=1795522500&kid=k1&' +
  'sig=26p_R-BdBz0ZldD6UoeyNzXwRj88VTK54n5OEJImKeg'
const SAVED =
  '/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?exp=1795522500&mode=redirect&dl=R%C3%A9sum%C3%A9%20%281%29.png&kid=k1&' +
  'sig=KetM5HyBqzOp7DFSrQ_-jFIe-s2Zkg4AbnjxfuWCIlE'

const RESIZED =
  '/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?exp=1795522500&w=320&fmt=auto&fallback=original&kid=k1&' +
  'sig=sXEBt-XS1rc8uwwGQfi0CffT9ox5r_VtXv_zo4Q5sbk'

const RESTRICTED =
  '/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?exp=1795522500&nbf=1795521600&ips=192.0.2.0/24,2001:db8::/32&countries=AT,DE&kid=k1&' +
  'sig=voIIztT5lDOy5R9Ns-6ZAtTP7v0jnC-9P06sa4jf8Z4'
const RESTRICTED_IMAGE =
  '/i/files/team-a%2Fuploads%2F%C3%A9%20b.png?exp=1795522500&dl=R%C3%A9sum%C3%A9%20%281%29.png&w=320&fmt=auto&notCountries=US&kid=k1&' +
  'sig=epCvKvC6sWnNAFXD5cG4wMPCiFxw6e6zDNfsnBiiT_c'

// @threat deploy-invalidates
describe('a link', () => {
  const shown: LinkPolicy = {
    bucket: 'files',
    key: KEY,
    expires: 1_795_522_500,
    delivery: 'stream',
    download: null,
    variant: null,
  }
  const saved: LinkPolicy = { ...shown, delivery: 'redirect', download: 'Résumé (1).png' }

  const resized: LinkPolicy = {
    ...shown,
    variant: { width: 320, format: 'auto', fallback: true },
  }

  const restricted: LinkPolicy = {
    ...shown,
    restrictions: 'nbf=1795521600&ips=192.0.2.0/24,2001:db8::/32&countries=AT,DE',
  }
  const restrictedImage: LinkPolicy = {
    ...{ ...shown, download: 'Résumé (1).png', restrictions: 'notCountries=US' },
    variant: { width: 320, format: 'auto', fallback: false },
  }

  it.each([
    ['for some addresses and countries', RESTRICTED, restricted],
    ['to a resized image for some countries', RESTRICTED_IMAGE, restrictedImage],
    ['that shows a resized image', RESIZED, resized],
    ['that shows a file inline', SHOWN, shown],
    ['that downloads a file', SAVED, saved],
  ])('%s is still signed the same way, and still valid', async (_, link, policy) => {
    expect(await signLink(policy, config)).toBe(link)
    expect(await verifyLink(linkTarget(link), 'files', KEY, config, NOW)).toEqual({
      ok: true,
      policy,
    })
  })
})

const FOLDER_TOKEN = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsInByZWZpeCI6InRlYW0tYS_DqSBiLyIsImV4cCI6MTc5NTUyMjUwMH0',
  '1X5wEjYsNA3yOgMlAyRr0KpwFwQf1Wgtnkin1wzVdjM',
].join('.')

// @threat deploy-invalidates
it('a folder link is still signed the same way, and still valid', async () => {
  const prefix = parseObjectKey('team-a/é b/')
  const base = `/f/${FOLDER_TOKEN}/team-a/%C3%A9%20b/`
  const folder = { bucket: 'files', prefix, expires: 1_795_522_500 }
  expect(await signFolder(folder, config)).toBe(base)
  const key = parseObjectKey(`${prefix}c.ts`)
  expect(await verifyInFolder(`${base}c.ts`, FOLDER_TOKEN, key, config, NOW)).toEqual({
    ok: true,
    policy: {
      ...{ bucket: 'files', key, expires: 1_795_522_500 },
      ...{ delivery: 'stream', download: null, variant: null },
    },
  })
})

const RESTRICTED_FOLDER_TOKEN = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsInByZWZpeCI6InRlYW0tYS_DqSBiLyIsImV4cCI6MTc5NTUyMjUwMCwicmVzdHJpY3Rpb25zIjoibmJmPTE3OTU1MjE2MDAmaXBzPTE5Mi4wLjIuMC8yNCZjb3VudHJpZXM9REUifQ',
  '7dK2hst12btvLyp08Vfdzowa7D_brnHkZjgpILbGxNM',
].join('.')

// @threat deploy-invalidates
it('a restricted folder link is still signed the same way, and still valid', async () => {
  const prefix = parseObjectKey('team-a/é b/')
  const base = `/f/${RESTRICTED_FOLDER_TOKEN}/team-a/%C3%A9%20b/`
  const restrictions = 'nbf=1795521600&ips=192.0.2.0/24&countries=DE'
  const folder = { bucket: 'files', prefix, expires: 1_795_522_500, restrictions }
  expect(await signFolder(folder, config)).toBe(base)
  const path = `${base}c.ts`
  expect(
    await verifyInFolder(path, RESTRICTED_FOLDER_TOKEN, `${prefix}c.ts`, config, NOW),
  ).toMatchObject({ ok: true, policy: { restrictions } })
})

const TOKEN = [
  'ept_eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJpZCI6ImtleTpjaSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwfQ',
  'g7D3dMjNVrlsPn8iSt1LcIi46ssWAx7ibVT5KQfj_ug',
].join('.')

// @threat deploy-invalidates
it('a token is still signed the same way, and still valid', async () => {
  const principal = {
    id: 'key:ci',
    scopes: ['files:read', 'files:list'],
    prefix: 'team-a/',
    limits: NO_LIMITS,
    context: null,
  } as const
  const caller = { kind: 'key', ...principal, expiresAt: Infinity } as const
  const { token } = await mintToken(caller, { scopes: principal.scopes }, config, NOW)
  expect(token).toBe(TOKEN)
  expect(await verifyToken(TOKEN, config, NOW)).toEqual({
    ok: true,
    principal: { kind: 'token', ...principal, expiresAt: NOW.getTime() + 600_000 },
  })
})

const USER_TOKEN = [
  'ept_eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJpZCI6ImtleTpjaS9hbGljZUBleGFtcGxlLmNvbSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwfQ',
  'kuo7P5FHbhxMSQ5il_9oPl4RmhV0QSaVjQTpUZmNaak',
].join('.')

it('a token of a user is still signed the same way, and still valid', async () => {
  const rights = { scopes: ['files:read', 'files:list'], prefix: 'team-a/' } as const
  const none = { limits: NO_LIMITS, context: null }
  const caller = { kind: 'key', id: 'key:ci', ...rights, ...none, expiresAt: Infinity } as const
  const request = { scopes: rights.scopes, subject: 'alice@example.com' }
  expect((await mintToken(caller, request, config, NOW)).token).toBe(USER_TOKEN)
  const expiresAt = NOW.getTime() + 600_000
  const principal = { kind: 'token', id: 'key:ci/alice@example.com', ...rights, ...none, expiresAt }
  expect(await verifyToken(USER_TOKEN, config, NOW)).toEqual({ ok: true, principal })
})

const LIMITED_TOKEN = [
  'ept_eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJpZCI6ImtleTpjaS9hbGljZSIsInNjb3BlcyI6WyJmaWxlczpyZWFkIiwiZmlsZXM6bGlzdCJdLCJwcmVmaXgiOiJ0ZWFtLWEvIiwiZXhwIjoxNzk1NTIyMjAwLCJidWNrZXRzIjpbImZpbGVzIl0sIm1heEJ5dGVzIjoxMDAwLCJhbGxvd2VkVHlwZXMiOlsiaW1hZ2UvKiJdLCJtYXhFeHBpcmVzSW4iOjYwMCwiY29udGV4dCI6eyJwbGFuIjoicHJvIiwiw6kiOlsxLG51bGxdfX0',
  'lw45mLILmZDc6UXb4BwTt00WCvS_rAgGY2k-rrsjFNU',
].join('.')

// @threat token-limit-skipped
it('a token with limits is still signed the same way, and still valid', async () => {
  const rights = { scopes: ['files:read', 'files:list'], prefix: 'team-a/' } as const
  const limits = {
    buckets: ['files'],
    maxBytes: 1000,
    allowedTypes: ['image/*'],
    maxExpiresIn: 600,
  }
  const context = { plan: 'pro', é: [1, null] }
  const none = { limits: NO_LIMITS, context: null }
  const caller = { kind: 'key', id: 'key:ci', ...rights, ...none, expiresAt: Infinity } as const
  const request = { scopes: rights.scopes, subject: 'alice', ...limits, context }
  expect((await mintToken(caller, request, config, NOW)).token).toBe(LIMITED_TOKEN)
  const expiresAt = NOW.getTime() + 600_000
  const principal = { kind: 'token', id: 'key:ci/alice', ...rights, expiresAt, limits, context }
  expect(await verifyToken(LIMITED_TOKEN, config, NOW)).toEqual({ ok: true, principal })
})

const CURSOR = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJzZWNyZXQiOiJBQUVDQXdRRkJnY0lDUW9MYTFCYWUxMEVtRWdwZWp4SG9xQlRISktjXzJWM1lJUGFNNndSYTl2em1BayJ9',
  'gDXGngB2NC_SBZA5oC6gb84piQJDr_Q4DEr2p0af9PQ',
].join('.')

// @threat deploy-invalidates
it('a cursor is still valid', async () => {
  const list = ['files', 'files', 'team-a/', '']
  expect(await cursorsOf(config, list, z.string()).open(CURSOR)).toBe('AAAA-kv-cursor')
})

const FORM_POLICY = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwibmFtZSI6IsOpIGIucG5nIiwibWF4Qnl0ZXMiOjEwMDAsImZpZWxkcyI6eyJzdWNjZXNzX2FjdGlvbl9zdGF0dXMiOiIyMDEiLCJjb250ZW50LXR5cGUiOiJpbWFnZS9wbmciLCJrZXkiOiJ0ZWFtLWEvdXBsb2Fkcy_DqSBiLnBuZyIsImJ1Y2tldCI6InN0b3JlIn0sImV4cCI6MTc5NTUyMjQwMH0',
  'EQ9kJskK79P8ZJ_jcsZpUax_z8cTsM2sKLF99v0LPzY',
].join('.')

// @threat deploy-invalidates
it('a form is still signed the same way, and still valid', async () => {
  const policy = {
    bucket: 'files',
    owner: 'key:ci',
    name: 'é b.png',
    maxBytes: 1000,
    fields: {
      success_action_status: '201',
      'content-type': 'image/png',
      key: KEY,
      bucket: 'store',
    },
  }
  expect(await sealFormPolicy(config, policy, 800, NOW)).toBe(FORM_POLICY)
  expect(await openFormPolicy(config, FORM_POLICY, NOW)).toEqual(policy)
})

const FORM_POLICY_OF_USER = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwibmFtZSI6IsOpIGIucG5nIiwibWF4Qnl0ZXMiOjEwMDAsImZpZWxkcyI6eyJzdWNjZXNzX2FjdGlvbl9zdGF0dXMiOiIyMDEiLCJjb250ZW50LXR5cGUiOiJpbWFnZS9wbmciLCJrZXkiOiJ0ZWFtLWEvdXBsb2Fkcy_DqSBiLnBuZyIsImJ1Y2tldCI6InN0b3JlIn0sImNvbnRleHQiOnsicGxhbiI6InBybyJ9LCJleHAiOjE3OTU1MjI0MDB9',
  '368AWCiyIhm10tajQO3RiYFp5_Zx6-4QRHRFHY3CSD4',
].join('.')

it('a form with a context is still signed the same way, and still valid', async () => {
  const policy = {
    bucket: 'files',
    owner: 'key:ci/alice',
    name: 'é b.png',
    maxBytes: 1000,
    fields: {
      success_action_status: '201',
      'content-type': 'image/png',
      key: KEY,
      bucket: 'store',
    },
    context: { plan: 'pro' },
  }
  expect(await sealFormPolicy(config, policy, 800, NOW)).toBe(FORM_POLICY_OF_USER)
  expect(await openFormPolicy(config, FORM_POLICY_OF_USER, NOW)).toEqual(policy)
})

const STEP = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiw6kgYi5wbmciLCJtaW1ldHlwZSI6ImltYWdlL3BuZyIsInNpemUiOm51bGx9LCJleHAiOjE3OTU1MjE5MDB9',
  'hw200YinEsmsCS-tPvchRZwB0Usoxmto2yJRGt2DE6E',
].join('.')

// @threat deploy-invalidates
it('a step of an upload is still signed the same way, and still valid', async () => {
  const step = {
    bucket: 'files',
    owner: 'key:ci',
    key: KEY,
    file: { fileName: 'é b.png', mimetype: 'image/png', size: null },
  }
  expect(await sealUploadStep(config, step, 300, NOW)).toBe(STEP)
  expect(await openStart(config, STEP, NOW)).toEqual(step)
})

const LIMITED_STEP = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiw6kgYi5wbmciLCJtaW1ldHlwZSI6ImltYWdlL3BuZyIsInNpemUiOm51bGx9LCJtYXhCeXRlcyI6MTAwMCwiZXhwIjoxNzk1NTIxOTAwfQ',
  'r_h8VLBWO00IGj9aE6XxZKOEWaoRF2q4UUCKnryY6dk',
].join('.')

const STEP_WITH_CONTEXT = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpL2FsaWNlIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJ1cGxvYWRJZCI6IngiLCJjb250ZXh0Ijp7InBsYW4iOiJwcm8ifSwiZXhwIjoxNzk1NTIxOTAwfQ',
  'E_3gZYYK5nG7SO7MfWW5ksEflshVDJwo41NyWQdxwYA',
].join('.')

it('steps with a limit or a context are still signed the same way, and still valid', async () => {
  const of = { bucket: 'files', owner: 'key:ci/alice', key: KEY }
  const file = { fileName: 'é b.png', mimetype: 'image/png', size: null }
  const start = { ...of, file, maxBytes: 1000 }
  expect(await sealUploadStep(config, start, 300, NOW)).toBe(LIMITED_STEP)
  expect(await openStart(config, LIMITED_STEP, NOW)).toEqual(start)
  const complete = { ...of, uploadId: 'x', context: { plan: 'pro' } }
  expect(await sealUploadStep(config, complete, 300, NOW)).toBe(STEP_WITH_CONTEXT)
  expect(await openComplete(config, STEP_WITH_CONTEXT, NOW)).toEqual(complete)
})

const UPLOAD_ID = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsImtleSI6InRlYW0tYS91cGxvYWRzL2EubXA0Iiwib3duZXIiOiJrZXk6Y2kiLCJuYW1lIjoiYS5tcDQiLCJzaXplIjoyMDAwMDAwMCwicGFydFNpemUiOjgzODg2MDgsInNlY3JldCI6IkFBRUNBd1FGQmdjSUNRb0xNak5vQ1VsWm4xRmxmUUJSOF9VRERGTDlPeWVaejRsOVYwLXROREpHMGdsSi1rZUp5SVowZV9BNyIsImV4cCI6MTc5NjEyNjQwMH0',
  'dHtCNNej_jgLWWmNEqTb_7nmbJQrCCvLzDG_5yIaWoI',
].join('.')

// @threat deploy-invalidates
describe('a kept upload id', () => {
  const claims: UploadClaims = {
    bucket: 'files',
    key: parseObjectKey('team-a/uploads/a.mp4'),
    owner: 'key:ci',
    s3UploadId: '2~x+/=&<>',
    name: 'a.mp4',
    size: 20_000_000,
    partSize: 8_388_608,
  }
  const lastMoment = new Date(NOW.getTime() + 604_799_999)

  it('is still valid until it expires', async () => {
    for (const now of [NOW, lastMoment])
      expect(await openUploadId(config, claims, UPLOAD_ID, now)).toEqual(claims)
    const late = openUploadId(config, claims, UPLOAD_ID, new Date(NOW.getTime() + 604_800_000))
    await expect(late).rejects.toMatchObject({ code: 'invalid_upload_id' })
  })

  it('has the same members as a new one', async () => {
    const { uploadId } = await sealUploadId(config, claims, NOW)
    const members = (id: string) => {
      const payload = fromBase64(id.split('.')[1] ?? '')
      const parsed: object = JSON.parse(new TextDecoder().decode(payload))
      return { ...parsed, secret: 'random' }
    }
    expect(members(uploadId)).toEqual(members(UPLOAD_ID))
    expect(uploadId.split('.')[0]).toBe(UPLOAD_ID.split('.')[0])
    expect(uploadId).toHaveLength(UPLOAD_ID.length)
  })
})

const CHOSEN_UPLOAD_ID = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsImtleSI6ImF2YXRhcnMvNDIucG5nIiwib3duZXIiOiJrZXk6Y2kiLCJuYW1lIjoiNDIucG5nIiwic2l6ZSI6NSwicGFydFNpemUiOjgzODg2MDgsIm92ZXJ3cml0ZSI6dHJ1ZSwic2VjcmV0IjoiQUFFQ0F3UUZCZ2NJQ1FvTE1qTm9DVWxabjFGbGZRQlI4X1VEREZMOU95ZVp6NGw5Vng2dzBRUmZWUUNNVGkxY1J6NUktTGZlNHV3SnNiY0pfcnpFSjZNWEd3S2N5LTRZSWVLc2V6ZGhBRm9ZM3pYcmN1RG0xOVNSMTEzZWt2VjdsZUJhOEEiLCJleHAiOjE3OTYxMjY0MDB9',
  'aGGFctLqMN_6VVb6v23r7eGPENvQE8qBT7uCk_qphJw',
].join('.')
const CHOSEN_STEP = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwia2V5IjoidGVhbS1hL3VwbG9hZHMvw6kgYi5wbmciLCJmaWxlIjp7ImZpbGVOYW1lIjoiYSIsIm1pbWV0eXBlIjoiYS9iIiwic2l6ZSI6bnVsbCwib3ZlcndyaXRlIjpmYWxzZX0sImV4cCI6MTc5NTUyMTkwMH0',
  '3sdLcv0YXwdPMUiccTTvkEEXOzgUObEfni_IXrrkyIU',
].join('.')
const CHOSEN_FORM = [
  'eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0',
  'eyJidWNrZXQiOiJmaWxlcyIsIm93bmVyIjoia2V5OmNpIiwibmFtZSI6ImEiLCJtYXhCeXRlcyI6OSwib3ZlcndyaXRlIjpmYWxzZSwiZmllbGRzIjp7ImtleSI6InRlYW0tYS91cGxvYWRzL8OpIGIucG5nIn0sImV4cCI6MTc5NTUyMjQwMH0',
  'gZDYt4uK7DbpfrKrzWwjvc2T4hZ0DXmNaDgrkzn4ntY',
].join('.')

describe('an upload id for a chosen key', () => {
  const claims: UploadClaims = {
    bucket: 'files',
    key: parseObjectKey('avatars/42.png'),
    owner: 'key:ci',
    s3UploadId: '2~x+/=&<>',
    name: '42.png',
    size: 5,
    partSize: 8_388_608,
    mark: '0f8fad5b-d9cb-469f-a165-70867728950e',
    overwrite: true,
  }

  // @threat deploy-invalidates
  it('is still valid', async () => {
    expect(await openUploadId(config, claims, CHOSEN_UPLOAD_ID, NOW)).toEqual(claims)
  })

  it('is bound to whether it may replace an object', async () => {
    const { uploadId } = await sealUploadId(config, claims, NOW)
    const payload = JSON.parse(
      new TextDecoder().decode(fromBase64(uploadId.split('.')[1] ?? '')),
    ) as Record<string, unknown>
    for (const overwrite of [undefined, false]) {
      const resealed = await seal(config.signingSecrets, purpose('upload'), {
        ...payload,
        overwrite,
      })
      await expect(openUploadId(config, claims, resealed, NOW)).rejects.toBeDefined()
    }
  })
})

it('a step and a form for a chosen key are signed the same way', async () => {
  const scope = { bucket: 'files', owner: 'key:ci', key: KEY }
  const step = { ...scope, file: { fileName: 'a', mimetype: 'a/b', size: null, overwrite: false } }
  expect(await sealUploadStep(config, step, 300, NOW)).toBe(CHOSEN_STEP)
  expect(await openStart(config, CHOSEN_STEP, NOW)).toEqual(step)
  const policy = {
    bucket: 'files',
    owner: 'key:ci',
    name: 'a',
    maxBytes: 9,
    overwrite: false,
    fields: { key: KEY },
  }
  expect(await sealFormPolicy(config, policy, 800, NOW)).toBe(CHOSEN_FORM)
  expect(await openFormPolicy(config, CHOSEN_FORM, NOW)).toEqual(policy)
})

// @threat deploy-invalidates
it('the proof of an upload whose key the app chose is still made the same way, and still valid', async () => {
  const upload = {
    bucket: 'files',
    key: parseObjectKey('team-a/avatars/é b.png'),
    owner: 'app:ann',
  }
  const proof = 'GoEP1gOzid4OHVOKvAXWVY7aarG9myHiId-A8zSSsgo'
  expect(await uploadProof(config, upload)).toBe(proof)
  for (const mark of [proof, `9d8a.${proof}`])
    expect(await provesUpload(config, upload, mark)).toBe(true)
  for (const other of [
    { ...upload, bucket: 'other' },
    { ...upload, key: parseObjectKey('team-a/avatars/é c.png') },
    { ...upload, owner: 'app:bob' },
  ])
    expect(await provesUpload(config, other, proof)).toBe(false)
})

// @threat deploy-invalidates
it('the tag of a user is still made the same way', async () => {
  const user = { id: 'key:ci/ann', prefix: 'team-a/é b/' }
  expect(await userTag(config.signingSecrets[0], user)).toBe('5-L7YZtsswwFF7gV1-SxIw')
})
