import { generateKeyPair, SignJWT } from 'jose'
import { beforeAll, expect, it } from 'vitest'
import { verifyJwt } from '../../src/access/jwt.ts'
import type { JwtSettings } from '../../src/config/access-schema.ts'
import { AUDIENCE, ISSUER, type TestIssuer, testIssuer } from '../support/issuer.ts'

let issuer: TestIssuer
let settings: JwtSettings

beforeAll(async () => {
  issuer = await testIssuer()
  settings = {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ['ES256'],
    publicJwk: { ...issuer.publicJwk, kty: 'EC' },
    prefix: 'users/{sub}/',
    scopes: ['files:read'],
    header: 'Authorization',
  }
})

const withClaims = (changed: Partial<JwtSettings>): JwtSettings => ({ ...settings, ...changed })

it('gives the subject, the prefix and the life of the token', async () => {
  const exp = Math.floor(Date.now() / 1000) + 60
  expect(
    await verifyJwt(await issuer.sign({ sub: 'auth0|42', exp }), settings, new Date()),
  ).toEqual({
    ok: true,
    principal: {
      id: 'jwt:auth0|42',
      scopes: ['files:read'],
      prefix: 'users/auth0|42/',
      expiresAt: exp * 1000,
    },
  })
})

it('takes a clock that is half a minute off, and no more', async () => {
  const now = Math.floor(Date.now() / 1000)
  const verdicts = await Promise.all(
    [{ exp: now - 29 }, { exp: now - 31 }, { nbf: now + 29 }, { nbf: now + 31 }].map(
      async (claims) =>
        (await verifyJwt(await issuer.sign(claims), settings, new Date(now * 1000))).ok,
    ),
  )
  expect(verdicts).toEqual([true, false, true, false])
})

it('takes one of several audiences', async () => {
  const several = withClaims({ audience: ['other', AUDIENCE] })
  expect(await verifyJwt(await issuer.sign(), several, new Date())).toMatchObject({ ok: true })
  expect(
    await verifyJwt(await issuer.sign({ aud: ['a', 'b'] }), several, new Date()),
  ).toMatchObject({ ok: false })
})

it.each([
  ['a list', { permissions: ['files:read', 'files:list', 'admin'] }, 'permissions'],
  ['text with spaces', { scope: 'openid files:list files:read' }, 'scope'],
  [
    'a claim with dots in its name',
    { 'https://app.example/scopes': ['files:read', 'files:list'] },
    'https://app.example/scopes',
  ],
  [
    'a claim inside another',
    { app_metadata: { scopes: ['files:read', 'files:list'] } },
    'app_metadata.scopes',
  ],
] as const)('reads scopes from %s', async (_, claims, scopesClaim) => {
  const { scopes: __, ...rest } = settings
  const verdict = await verifyJwt(await issuer.sign(claims), { ...rest, scopesClaim }, new Date())
  expect(verdict).toMatchObject({ ok: true, principal: { scopes: ['files:read', 'files:list'] } })
})

it('gives no scopes where the claim is missing or of another kind', async () => {
  const { scopes: _, ...rest } = settings
  for (const claims of [
    {},
    { scope: 7 },
    { scope: { 'files:read': true } },
    { scope: 'files:*' },
  ]) {
    const verdict = await verifyJwt(
      await issuer.sign(claims),
      { ...rest, scopesClaim: 'scope' },
      new Date(),
    )
    expect(verdict).toMatchObject({ ok: true, principal: { scopes: [] } })
  }
})

it.each<readonly [string, Record<string, unknown>]>([
  ['missing', {}],
  ['empty', { tenant: '' }],
  ['no text', { tenant: 7 }],
  ['a dot segment', { tenant: '..' }],
  ['one with a slash', { tenant: 'a/b' }],
  ['one with a backslash', { tenant: 'a\\b' }],
  ['percent-encoded', { tenant: '%2e%2e' }],
  ['one with a control character', { tenant: 'a\u0000b' }],
  ['a lone surrogate', { tenant: '\ud800' }],
  ['inherited', { tenant: undefined }],
])('refuses a claim for the prefix that is %s', async (_, claims) => {
  const prefixed = withClaims({ prefix: 'tenants/{tenant}/' })
  expect(await verifyJwt(await issuer.sign(claims), prefixed, new Date())).toEqual({
    ok: false,
    reason: 'jwt claim does not fit the prefix',
  })
})

it('never takes a member of Object.prototype for a claim', async () => {
  const prefixed = withClaims({ prefix: 'x/{constructor.name}/' })
  expect(await verifyJwt(await issuer.sign(), prefixed, new Date())).toMatchObject({ ok: false })
})

it('refuses another algorithm, though the key would do', async () => {
  const { privateKey } = await generateKeyPair('ES384')
  const token = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'a', exp: 2 ** 32 })
    .setProtectedHeader({ alg: 'ES384' })
    .sign(privateKey)
  expect(await verifyJwt(token, settings, new Date())).toEqual({
    ok: false,
    reason: 'jwt ERR_JOSE_ALG_NOT_ALLOWED',
  })
})

it.each([
  ['aud', { aud: 'canary' }, [], 'jwt ERR_JWT_CLAIM_VALIDATION_FAILED aud'],
  ['iss', { iss: 'canary' }, [], 'jwt ERR_JWT_CLAIM_VALIDATION_FAILED iss'],
  ['exp', { exp: 1 }, [], 'jwt ERR_JWT_EXPIRED exp'],
  ['sub', {}, ['sub'], 'jwt ERR_JWT_CLAIM_VALIDATION_FAILED sub'],
])('names the claim %s that is refused, and not its value', async (_, claims, without, reason) => {
  const token = await issuer.sign(claims, {}, without)
  expect(await verifyJwt(token, settings, new Date())).toEqual({ ok: false, reason })
})

it('refuses a subject that no record could hold', async () => {
  expect(
    await verifyJwt(await issuer.sign({ sub: 'é'.repeat(101) }), settings, new Date()),
  ).toEqual({
    ok: false,
    reason: 'jwt subject unusable',
  })
})

it('answers garbage with a verdict', async () => {
  for (const token of [
    '',
    '.',
    '..',
    'a.b.c',
    'eyJhbGciOiJFUzI1NiJ9..',
    '\u0000',
    'a'.repeat(10_000),
  ])
    expect(await verifyJwt(token, settings, new Date()), token).toMatchObject({ ok: false })
})
