import { expect, it } from 'vitest'
import { NO_LIMITS } from '../../src/access/limits.ts'
import type { Principal } from '../../src/access/principal.ts'
import { mintToken, verifyToken } from '../../src/access/token.ts'
import { signingSettings } from '../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00.500Z')
const after = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

const caller: Principal = {
  id: 'key:ci',
  scopes: ['files:read', 'files:upload', 'tokens:create'],
  prefix: 'team-a/',
  expiresAt: Infinity,
  limits: NO_LIMITS,
  context: null,
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const OLD = `old:${'o'.repeat(32)}`
const NEW = `new:${'n'.repeat(32)}`
const config = signingSettings(OLD)

it('contains the caller, the scopes and the prefix', async () => {
  const { token, expiresAt } = await mintToken(
    caller,
    { scopes: ['files:read'], prefix: 'team-a/x/', expiresIn: 60 },
    config,
    NOW,
  )
  expect(expiresAt).toEqual(new Date('2026-11-24T12:01:00Z'))
  expect(await verifyToken(token, config, NOW)).toEqual({
    ok: true,
    principal: {
      id: 'key:ci',
      scopes: ['files:read'],
      prefix: 'team-a/x/',
      expiresAt: expiresAt.getTime(),
      limits: NO_LIMITS,
      context: null,
    },
  })
})

it("is valid for ten minutes under the caller's prefix by default", async () => {
  const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
  expect(await verifyToken(token, config, after(599))).toMatchObject({
    ok: true,
    principal: { prefix: 'team-a/' },
  })
  expect(await verifyToken(token, config, after(600))).toMatchObject({ ok: false })
})

it.each([
  ['a scope that the caller lacks', { scopes: ['files:delete'] }, 'forbidden'],
  ['a wider prefix', { scopes: ['files:read'], prefix: '' }, 'forbidden'],
  ['a foreign prefix', { scopes: ['files:read'], prefix: 'team-ab/' }, 'forbidden'],
  ['a prefix without a slash', { scopes: ['files:read'], prefix: 'team-a/x' }, 'invalid_key'],
  [
    'a prefix that is not NFC',
    { scopes: ['files:read'], prefix: 'team-a/e\u0301/' },
    'invalid_key',
  ],
  ['a prefix with dot segments', { scopes: ['files:read'], prefix: 'team-a/../' }, 'invalid_key'],
  ['no lifetime', { scopes: ['files:read'], expiresIn: 0 }, 'invalid_expiry'],
  ['more than an hour', { scopes: ['files:read'], expiresIn: 3601 }, 'invalid_expiry'],
  [
    'more than an hour for uploads and more',
    { scopes: ['files:upload', 'files:read'], expiresIn: 3601 },
    'invalid_expiry',
  ],
  [
    'more than a day for only uploads',
    { scopes: ['files:upload'], expiresIn: 86_401 },
    'invalid_expiry',
  ],
] as const)('refuses %s', async (_, request, code) => {
  await expect(mintToken(caller, request, config, NOW)).rejects.toMatchObject({ code })
})

it('is valid for up to a day when it allows only uploads', async () => {
  const request = { scopes: ['files:upload'], expiresIn: 86_400 } as const
  const { token } = await mintToken(caller, request, config, NOW)
  expect(await verifyToken(token, config, after(86_399))).toMatchObject({ ok: true })
  expect(await verifyToken(token, config, after(86_400))).toMatchObject({ ok: false })
  const { expiresAt } = await mintToken(caller, { scopes: ['files:upload'] }, config, NOW)
  expect(expiresAt).toEqual(new Date('2026-11-24T12:10:00Z'))
})

it("expires no later than the caller's credentials", async () => {
  const short = { ...caller, expiresAt: after(90).getTime() }
  const { expiresAt } = await mintToken(short, { scopes: ['files:read'] }, config, NOW)
  expect(expiresAt.getTime()).toBeLessThanOrEqual(short.expiresAt)
  await expect(
    mintToken(short, { scopes: ['files:read'], expiresIn: 91 }, config, NOW),
  ).rejects.toMatchObject({ code: 'invalid_expiry' })
})

it('stays valid during a rotation of the secrets, until the old one is removed', async () => {
  const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
  expect(await verifyToken(token, signingSettings(`${NEW},${OLD}`), NOW)).toMatchObject({
    ok: true,
  })
  expect(await verifyToken(token, signingSettings(NEW), NOW)).toMatchObject({ ok: false })
  const { token: newer } = await mintToken(
    caller,
    { scopes: ['files:read'] },
    signingSettings(`${NEW},${OLD}`),
    NOW,
  )
  expect(await verifyToken(newer, signingSettings(NEW), NOW)).toMatchObject({ ok: true })
})

it('refuses a token in which any character was changed', async () => {
  const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
  for (let at = 'ept_'.length; at < token.length; at++) {
    // Flips the highest bit of each digit: the lowest two bits of the last digit encode nothing.
    const other = BASE64URL.charAt(BASE64URL.indexOf(token.charAt(at)) ^ 32) || 'A'
    const changed = token.slice(0, at) + other + token.slice(at + 1)
    expect(await verifyToken(changed, config, NOW), `at ${at}`).toMatchObject({ ok: false })
  }
})

it('refuses a token without its prefix ept_', async () => {
  const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
  expect(await verifyToken(token.replace('ept_', 'zzz_'), config, NOW)).toMatchObject({ ok: false })
})
