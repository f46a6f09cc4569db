import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { NO_LIMITS } from '../../../src/access/limits.ts'
import { verifyJwt as verifyWithHooks } from '../../../src/plugins/jwt/jwt.ts'
import type { JwtSettings } from '../../../src/plugins/jwt/options.ts'
import { toBase64url } from '../../support/base64.ts'
import { AUDIENCE, ISSUER, NO_HOOKS, type TestIssuer, testIssuer } from '../../support/issuer.ts'

/** 32 bytes. Used as both coordinates, they aren't a point on P-256. */
const ONES = toBase64url(new Uint8Array(32).fill(1))

const verifyJwt = (token: string, jwt: JwtSettings, now: Date) =>
  verifyWithHooks(token, jwt, now, NO_HOOKS)

let issuer: TestIssuer
let settings: JwtSettings

beforeAll(async () => {
  issuer = await testIssuer()
  settings = {
    issuer: ISSUER,
    audience: [AUDIENCE],
    algorithms: ['ES256'],
    publicJwk: { ...issuer.publicJwk, kty: 'EC' },
    prefix: 'users/{sub}/',
    scopes: ['files:read'],
    header: 'Authorization',
  }
})

const withClaims = (changed: Partial<JwtSettings>): JwtSettings => ({ ...settings, ...changed })

it('returns the subject, the prefix and the expiry of the token', async () => {
  const exp = Math.floor(Date.now() / 1000) + 60
  expect(
    await verifyJwt(await issuer.sign({ sub: 'auth0|42', exp }), settings, new Date()),
  ).toEqual({
    ok: true,
    principal: {
      kind: 'jwt',
      id: 'jwt:auth0|42',
      scopes: ['files:read'],
      prefix: 'users/auth0|42/',
      expiresAt: exp * 1000,
      limits: NO_LIMITS,
      context: null,
    },
  })
})

// @threat jwt-forged
it.each([1e308, 2 ** 53, 8.64e12 + 1])(
  'refuses an expiry that no date can express: %d',
  async (exp) => {
    const verdict = await verifyJwt(await issuer.sign({ exp }), settings, new Date())
    expect(verdict).toEqual({ ok: false, refusal: 'jwt claim not accepted', detail: 'exp' })
    expect(
      await verifyJwt(await issuer.sign({ exp: 8.64e12 }), settings, new Date()),
    ).toMatchObject({
      ok: true,
    })
  },
)

it('accepts a clock that is at most 30 seconds off', async () => {
  const now = Math.floor(Date.now() / 1000)
  const verdicts = await Promise.all(
    [{ exp: now - 29 }, { exp: now - 31 }, { nbf: now + 29 }, { nbf: now + 31 }].map(
      async (claims) =>
        (await verifyJwt(await issuer.sign(claims), settings, new Date(now * 1000))).ok,
    ),
  )
  expect(verdicts).toEqual([true, false, true, false])
})

it('accepts one of several audiences', async () => {
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

it('gives no scopes when the claim is missing or has the wrong type', async () => {
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

// @threat jwt-claim-in-prefix
it.each<readonly [string, Record<string, unknown>]>([
  ['missing', {}],
  ['empty', { tenant: '' }],
  ['not a string', { tenant: 7 }],
  ['a dot segment', { tenant: '..' }],
  ['a slash', { tenant: 'a/b' }],
  ['a backslash', { tenant: 'a\\b' }],
  ['percent-encoded', { tenant: '%2e%2e' }],
  ['a control character', { tenant: 'a\u0000b' }],
  ['a lone surrogate', { tenant: '\ud800' }],
  ['not NFC', { tenant: 'e\u0301' }],
  ['inherited', { tenant: undefined }],
])('refuses a claim for the prefix: %s', async (_, claims) => {
  const prefixed = withClaims({ prefix: 'tenants/{tenant}/' })
  expect(await verifyJwt(await issuer.sign(claims), prefixed, new Date())).toEqual({
    ok: false,
    refusal: 'jwt claim does not fit the prefix',
  })
})

it('never uses a member of Object.prototype as a claim', async () => {
  const prefixed = withClaims({ prefix: 'x/{constructor.name}/' })
  expect(await verifyJwt(await issuer.sign(), prefixed, new Date())).toMatchObject({ ok: false })
})

// @threat jwt-forged
it('refuses an algorithm that is not listed, although the key supports it', async () => {
  const { privateKey } = await generateKeyPair('ES384')
  const token = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'a', exp: 2 ** 32 })
    .setProtectedHeader({ alg: 'ES384' })
    .sign(privateKey)
  expect(await verifyJwt(token, settings, new Date())).toEqual({
    ok: false,
    refusal: 'jwt algorithm not allowed',
    detail: 'ES384',
  })
})

// @threat jwt-forged
it.each([
  ['aud', { aud: 'canary' }, [], 'jwt claim not accepted', 'aud'],
  ['iss', { iss: 'canary' }, [], 'jwt claim not accepted', 'iss'],
  ['exp', { exp: 1 }, [], 'jwt expired', undefined],
  ['sub', {}, ['sub'], 'jwt claim not accepted', 'sub missing'],
])(
  'names the refused claim (%s) but not its value',
  async (_, claims, without, refusal, detail) => {
    const token = await issuer.sign(claims, {}, without)
    expect(await verifyJwt(token, settings, new Date())).toEqual({ ok: false, refusal, detail })
  },
)

// @threat jwt-bad-subject
it('refuses a subject that does not fit into a record', async () => {
  const open = withClaims({ prefix: '' })
  for (const sub of [
    'é'.repeat(101),
    'a\u0000b',
    'a\nb',
    'a\u202eb',
    'a\u2028b',
    'a\u2029b',
    'a\u0085b',
  ]) {
    const verdict = await verifyJwt(await issuer.sign({ sub }), open, new Date())
    expect(verdict, sub).toEqual({ ok: false, refusal: 'jwt subject unusable' })
  }
})

// @threat key-two-spellings
it('refuses a subject that is not NFC, whatever the prefix', async () => {
  const open = withClaims({ prefix: '' })
  const verdict = (sub: string) =>
    issuer.sign({ sub }).then((jwt) => verifyJwt(jwt, open, new Date()))
  expect(await verdict('e\u0301')).toEqual({ ok: false, refusal: 'jwt subject unusable' })
  expect(await verdict('\u00e9')).toMatchObject({ ok: true, principal: { id: 'jwt:\u00e9' } })
})

// @threat jwt-bad-subject
it.each([7, 0, true, null, ['alice'], { id: 'alice' }])(
  'refuses a subject that is not a string: %j',
  async (sub) => {
    const claims = { sub } as unknown as JWTPayload
    expect(
      await verifyJwt(await issuer.sign(claims), withClaims({ prefix: '' }), new Date()),
    ).toMatchObject({ ok: false })
  },
)

// @threat jwt-bad-key
describe('an unusable key refuses the token without an internal error:', () => {
  const algorithms: JwtSettings['algorithms'] = ['ES256', 'ES384', 'RS256']
  const unusable = { ok: false, refusal: 'jwt key unknown', detail: 'kid-1' }

  it('an ES384 token for a P-256 key', async () => {
    const { privateKey } = await generateKeyPair('ES384')
    const token = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'a', exp: 2 ** 32 })
      .setProtectedHeader({ alg: 'ES384', kid: issuer.kid })
      .sign(privateKey)
    const publicJwk = { ...issuer.publicJwk, kty: 'EC' as const, alg: undefined }
    for (const key of [publicJwk, { ...publicJwk, alg: 'ES256' }])
      expect(
        await verifyJwt(token, withClaims({ algorithms, publicJwk: key }), new Date()),
      ).toEqual(unusable)
  })

  it.each<readonly [string, NonNullable<JwtSettings['publicJwk']>]>([
    ['a point that is not on its curve', { kty: 'EC', crv: 'P-256', x: ONES, y: ONES }],
    ['a point of the wrong length', { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ' }],
    ['a point that is not base64url', { kty: 'EC', crv: 'P-256', x: '*', y: '*' }],
    ['a missing point', { kty: 'EC', crv: 'P-256' }],
    ['another curve', { kty: 'EC', crv: 'P-384', x: ONES, y: ONES }],
  ])('%s', async (_, publicJwk) => {
    expect(await verifyJwt(await issuer.sign(), withClaims({ publicJwk }), new Date())).toEqual(
      unusable,
    )
  })

  it('an RSA key of 1024 bits', async () => {
    const { privateKey } = await generateKeyPair('RS256')
    const token = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'a', exp: 2 ** 32 })
      .setProtectedHeader({ alg: 'RS256', kid: 'short' })
      .sign(privateKey)
    const { publicKey } = (await crypto.subtle.generateKey(
      {
        name: 'RSASSA-PKCS1-v1_5',
        hash: 'SHA-256',
        modulusLength: 1024,
        publicExponent: new Uint8Array([1, 0, 1]),
      },
      true,
      ['sign', 'verify'],
    )) as CryptoKeyPair
    const publicJwk = { ...(await exportJWK(publicKey)), kty: 'RSA' as const }
    expect(await verifyJwt(token, withClaims({ algorithms, publicJwk }), new Date())).toEqual({
      ...unusable,
      detail: 'short',
    })
  })
})

it('returns a verdict for garbage', async () => {
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
