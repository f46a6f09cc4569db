import { describe, expect, it } from 'vitest'
import { NO_LIMITS } from '../../../src/access/limits.ts'
import { stillGranted } from '../../../src/access/minter.ts'
import { type Principal, subjectOf } from '../../../src/access/principal.ts'
import { purpose } from '../../../src/access/purpose-key.ts'
import { SCOPES } from '../../../src/access/scopes.ts'
import { seal } from '../../../src/access/seal.ts'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import type { ApiKey } from '../../../src/plugins/api-keys/options.ts'
import type { JwtInput } from '../../../src/plugins/jwt/options.ts'
import { mintToken, type TokenRequest, verifyToken } from '../../../src/plugins/tokens/token.ts'
import type { BucketInput } from '../../../src/settings/input.ts'
import { settingsInput } from '../../support/app.ts'
import { credentials } from '../../support/every-plugin.ts'
import { signingSettings } from '../../support/signing-settings.ts'

const NOW = new Date('2026-11-24T12:00:00.500Z')
const after = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

const caller: Principal = {
  kind: 'key',
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
      kind: 'token',
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

// @threat token-wider token-too-long
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
  ['a prefix with an empty segment', { scopes: ['files:read'], prefix: 'team-a//' }, 'invalid_key'],
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

// @threat token-too-long
it('is valid for up to a day when it allows only uploads', async () => {
  const request = { scopes: ['files:upload'], expiresIn: 86_400 } as const
  const { token } = await mintToken(caller, request, config, NOW)
  expect(await verifyToken(token, config, after(86_399))).toMatchObject({ ok: true })
  expect(await verifyToken(token, config, after(86_400))).toMatchObject({ ok: false })
  const { expiresAt } = await mintToken(caller, { scopes: ['files:upload'] }, config, NOW)
  expect(expiresAt).toEqual(new Date('2026-11-24T12:10:00Z'))
})

it('names the bounds of a lifetime, and what may be valid for longer', async () => {
  const messageOf = (more: object) => {
    const request = { scopes: ['files:read'], expiresIn: 90_000, ...more } as const
    return mintToken(caller, request, config, NOW).catch(({ message }) => message)
  }
  expect(await messageOf({})).toBe(
    'expiresIn must be 1 to 3600 seconds. A token with only files:upload may be valid for up to 86400.',
  )
  expect(await messageOf({ scopes: ['files:upload'] })).toBe(
    'expiresIn must be 1 to 86400 seconds.',
  )
})

// @threat token-too-long
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
    const digit = BASE64URL.indexOf(token.charAt(at))
    // The lowest two bits of the last digit encode nothing.
    for (const bit of [32, 2, 1]) {
      const other = BASE64URL.charAt(digit ^ bit) || 'A'
      const changed = token.slice(0, at) + other + token.slice(at + 1)
      expect(await verifyToken(changed, config, NOW), `at ${at}`).toMatchObject({ ok: false })
    }
  }
})

// @threat token-two-spellings
it.each(['=', '==', ' ', '\n', '.', 'A', '\u0000'])(
  'refuses a token with %j appended or within its signature',
  async (text) => {
    const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
    for (const at of [token.length, token.length - 1, token.length - 43])
      expect(
        await verifyToken(token.slice(0, at) + text + token.slice(at), config, NOW),
        `at ${at}`,
      ).toMatchObject({ ok: false })
  },
)

it('refuses a token without its prefix ept_', async () => {
  const { token } = await mintToken(caller, { scopes: ['files:read'] }, config, NOW)
  expect(await verifyToken(token.replace('ept_', 'zzz_'), config, NOW)).toMatchObject({ ok: false })
})

const alice = { scopes: ['files:read', 'tokens:create'], subject: 'alice' } as const
const principalOf = async (token: string, settings = config): Promise<Principal> => {
  const verdict = await verifyToken(token, settings, NOW)
  if (!verdict.ok) throw new Error(verdict.refusal)
  return verdict.principal
}
const mint = async (by: Principal, request: TokenRequest): Promise<Principal> =>
  principalOf((await mintToken(by, request, config, NOW)).token)

describe('a token for a user', () => {
  it('has its own principal, with the minter in its id', async () => {
    const principal = await mint(caller, alice)
    expect(principal.id).toBe('key:ci/alice')
    expect(subjectOf(principal)).toBe('alice')
    expect(subjectOf(caller)).toBeNull()
  })

  // @threat user-impersonated
  it('mints tokens only for the same user', async () => {
    const user = await mint(caller, alice)
    const request = { scopes: ['files:read'] } as const
    expect((await mint(user, request)).id).toBe('key:ci/alice')
    expect((await mint(user, { ...request, subject: 'alice' })).id).toBe('key:ci/alice')
    for (const subject of ['bob', 'alice/bob', 'alic', 'alice2'])
      await expect(mintToken(user, { ...request, subject }, config, NOW)).rejects.toMatchObject({
        code: 'forbidden',
      })
  })

  // @threat user-impersonated
  it.each([
    ['jwt', 'jwt:auth0'],
    ['app', 'app:ann'],
    ['app', 'app:key:ci'],
    ['jwt', 'jwt:key:ci'],
    ['token', 'key:ci'],
    ['token', 'localhost'],
  ] as const)(
    'can not be minted by a credential of the kind %s with the id %s',
    async (kind, id) => {
      await expect(mintToken({ ...caller, kind, id }, alice, config, NOW)).rejects.toMatchObject({
        code: 'forbidden',
      })
    },
  )

  it.each(['app:key:ci/alice', 'jwt:key:ci/alice', 'jwt:localhost/alice', 'app:localhost/alice'])(
    'is not what the id %s says',
    (id) => {
      expect(subjectOf({ id })).toBeNull()
    },
  )

  it('can be minted by localhost', async () => {
    const local = { ...config, openOnLocalhost: true }
    const open = { ...caller, kind: 'localhost', id: 'localhost' } as const
    const { token } = await mintToken(open, alice, local, NOW)
    expect((await principalOf(token, local)).id).toBe('localhost/alice')
  })
})

describe('the context of a token', () => {
  const asked = { scopes: ['files:read', 'tokens:create'] as const }

  it.each<readonly [string, unknown]>([
    ['an object', { tenant: 7, tags: ['a', null, true] }],
    ['a list', [1, 2]],
    ['text', 'vip'],
    ['false', false],
    ['zero', 0],
    ['empty text', ''],
    ['a member called __proto__', JSON.parse('{"__proto__": {"a": 1}}')],
    ['1 KB', 'x'.repeat(1022)],
  ])('can be %s', async (_, context) => {
    const principal = await mint(caller, { ...asked, context })
    expect(JSON.stringify(principal.context)).toBe(JSON.stringify(context))
  })

  it('is none if it is null', async () => {
    expect((await mint(caller, { ...asked, context: null })).context).toBeNull()
    expect((await mint(caller, asked)).context).toBeNull()
  })

  it.each<readonly [string, () => unknown]>([
    ['1 KB and a byte', () => 'x'.repeat(1023)],
    ['1 KB in characters, but more in bytes', () => 'é'.repeat(512)],
    ['deep nesting', () => JSON.parse('['.repeat(30_000) + ']'.repeat(30_000))],
  ])('can not be %s', async (_, context) => {
    const request = { ...asked, context: context() }
    await expect(mintToken(caller, request, config, NOW)).rejects.toMatchObject({
      code: 'invalid_request',
      issues: [{ path: 'context' }],
    })
  })

  it('is inherited, and can not be changed', async () => {
    const first = await mint(caller, { ...asked, context: { plan: 'free' } })
    expect((await mint(first, asked)).context).toEqual({ plan: 'free' })
    expect((await mint(first, { ...asked, context: { plan: 'free' } })).context).toEqual({
      plan: 'free',
    })
    const pro = { ...asked, context: { plan: 'pro' } }
    await expect(mintToken(first, pro, config, NOW)).rejects.toMatchObject({ code: 'forbidden' })
    expect((await mint(first, { ...asked, context: null })).context).toEqual({ plan: 'free' })
  })

  // @threat user-impersonated
  it.each(['key', 'localhost', 'app', 'jwt', 'token'] as const)(
    'can be set by an API key, open access and an app, and not by others: %s',
    async (kind) => {
      const minted = mint({ ...caller, kind }, { ...asked, context: { role: 'admin' } })
      if (kind === 'jwt' || kind === 'token')
        await expect(minted).rejects.toMatchObject({ code: 'forbidden' })
      else expect((await minted).context).toEqual({ role: 'admin' })
      expect((await mint({ ...caller, kind }, asked)).context).toBeNull()
    },
  )
})

describe('a chained token', () => {
  const first = {
    ...alice,
    buckets: ['files'],
    maxBytes: 1000,
    allowedTypes: ['image/*'],
    maxExpiresIn: 60,
  }
  const next = { scopes: ['files:read'] } as const

  it('keeps all limits that it does not narrow', async () => {
    const { limits } = await mint(await mint(caller, first), { ...next, maxBytes: 10 })
    const { buckets, allowedTypes, maxExpiresIn } = first
    expect(limits).toEqual({ buckets, maxBytes: 10, allowedTypes, maxExpiresIn })
  })

  // @threat token-wider
  it.each([
    ['a bucket', { buckets: ['files', 'other'] }],
    ['bytes', { maxBytes: 1001 }],
    ['types', { allowedTypes: ['image/png', 'text/plain'] }],
    ['a lifetime', { maxExpiresIn: 61 }],
  ])('can not add %s', async (_, wider) => {
    const minter = await mint(caller, first)
    await expect(mintToken(minter, { ...next, ...wider }, config, NOW)).rejects.toMatchObject({
      code: 'forbidden',
    })
  })
})

describe('the longest token', () => {
  const prefix = `team-a/${'p'.repeat(1016)}/`
  const subject = 's'.repeat(128)
  const longest = { scopes: ['files:read'], prefix, subject, context: 'c'.repeat(1022) } as const

  it('has 4096 characters, with room for the longest prefix, subject and context', async () => {
    const { token } = await mintToken(caller, longest, config, NOW)
    expect(token.length).toBeLessThanOrEqual(4096)
    expect(await principalOf(token)).toMatchObject({ prefix, context: longest.context })
  })

  it('is refused above that', async () => {
    const allowedTypes = Array.from({ length: 20 }, (_, i) => `image/${'x'.repeat(60)}${i}`)
    const tooLong = mintToken(caller, { ...longest, allowedTypes }, config, NOW)
    await expect(tooLong).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

describe('after a change of the credential that minted it, a token', () => {
  const apiKey = { id: 'ci', sha256: '0'.repeat(64), scopes: SCOPES, prefix: '' } as const
  const jwt = {
    ...{ issuer: 'i', audience: 'a', algorithms: ['ES256'] },
    jwksUrl: 'https://issuer.example/jwks.json',
    prefix: 'users/{sub}/',
    scopes: SCOPES,
  }
  /** What an API key and the JWTs of an issuer may do, in a presigner with three buckets. */
  const minters = (keys: readonly object[], accept: object | undefined) => {
    const files = { ...settingsInput().buckets.files } as BucketInput
    const buckets = { files, other: files, third: files }
    const plugins = credentials({
      apiKeys: { keys: keys as ApiKey[] },
      jwt: { accept: accept as JwtInput | undefined },
    })
    const settings = defineSettings(settingsInput({ buckets }))
    const instance = createPresigner(settings, { plugins }).instance({})
    expect(instance.settings.ok).toBe(true)
    return instance.seams.minter
  }
  const all = { ...config, minters: minters([apiKey], jwt), openOnLocalhost: true }

  /** A token of `id` with two scopes, a prefix and perhaps buckets. */
  const tokenOf = async (id: string, buckets: readonly string[] | null = null) => {
    const prefix = 'users/ann/'
    const minter = { ...caller, id, prefix, limits: { ...NO_LIMITS, buckets } }
    const request = { scopes: ['files:read', 'files:upload'] } as const
    return (await mintToken(minter, request, config, NOW)).token
  }

  // @threat removed-key-works
  it.each(['key:ci', 'key:ci/alice', 'jwt:auth0|1', 'jwt:a/b', 'localhost', 'localhost/alice'])(
    'of %s is refused once its minter is no longer configured',
    async (id) => {
      const token = await tokenOf(id)
      expect(await verifyToken(token, all, NOW)).toMatchObject({ ok: true })
      const others = minters([{ ...apiKey, id: 'ci2' }], undefined)
      const none = { ...all, minters: others, openOnLocalhost: false }
      expect(await verifyToken(token, none, NOW)).toMatchObject({
        ok: false,
        refusal: 'token minter not configured',
      })
    },
  )

  // @threat narrowed-key-works
  it.each(['key:ci', 'key:ci/alice', 'jwt:ann'])(
    'of %s keeps only the scopes and buckets that its minter still has',
    async (id) => {
      const narrowed = async (change: object, buckets?: readonly string[]) => {
        const changed = minters([{ ...apiKey, ...change }], { ...jwt, ...change })
        const settings = { ...all, minters: changed }
        return principalOf(await tokenOf(id, buckets), settings)
      }
      expect((await narrowed({ scopes: ['files:list', 'files:read'] })).scopes).toEqual([
        'files:read',
      ])
      expect((await narrowed({ scopes: ['files:list'] })).scopes).toEqual([])
      const both = ['files', 'other']
      expect((await narrowed({ buckets: ['other'] })).limits.buckets).toEqual(['other'])
      expect((await narrowed({ buckets: ['other'] }, both)).limits.buckets).toEqual(['other'])
      expect((await narrowed({ buckets: ['third'] }, both)).limits.buckets).toEqual([])
      expect(await narrowed({ buckets: both }, ['files'])).toMatchObject({
        scopes: ['files:read', 'files:upload'],
        prefix: 'users/ann/',
        limits: { buckets: ['files'] },
      })
    },
  )

  // @threat narrowed-key-works
  it.each([
    ['key:ci', 'users/', true],
    ['key:ci', 'users/ann/', true],
    ['key:ci', 'users/ann/a/', false],
    ['key:ci/alice', 'teams/', false],
    ['jwt:ann', 'users/{sub}/', true],
    ['jwt:ann', '{sub}/', true],
    ['jwt:ann', 'teams/{sub}/', false],
    ['jwt:ann', 'users/bob/', false],
  ])(
    'of %s is refused outside the prefix that its minter still has: %s',
    async (id, prefix, ok) => {
      const settings = { ...all, minters: minters([{ ...apiKey, prefix }], { ...jwt, prefix }) }
      expect(await verifyToken(await tokenOf(id), settings, NOW)).toMatchObject(
        ok ? { ok } : { ok, refusal: 'token outside the prefix of its minter' },
      )
    },
  )

  it("of an app's user stays as it is", async () => {
    const none = { ...all, minters: minters([], undefined), openOnLocalhost: false }
    expect(await principalOf(await tokenOf('app:ann'), none)).toMatchObject({
      scopes: ['files:read', 'files:upload'],
      prefix: 'users/ann/',
    })
  })
})

it('is not copied if its minter still has all of its rights', () => {
  const limits = { ...NO_LIMITS, buckets: ['files'] }
  const principal = { ...caller, kind: 'token', limits } as const
  const key = { scopes: SCOPES, prefix: '', buckets: ['files', 'other'] }
  const verdict = stillGranted(principal, { ...config, minters: [() => key] })
  expect(verdict.ok && verdict.principal).toBe(principal)
})

// @threat token-limit-skipped
it.each([
  ['no id', {}],
  ['a claim of a later version', { id: 'key:ci', maxFiles: 3 }],
  ['limits of the wrong type', { id: 'key:ci', maxBytes: '5' }],
])('refuses a token with %s', async (_, changed) => {
  const exp = Math.floor(NOW.getTime() / 1000) + 60
  const claims = { scopes: ['files:read'], prefix: '', exp, ...changed }
  const token = `ept_${await seal(config.signingSecrets, purpose('token'), claims)}`
  expect(await verifyToken(token, config, NOW)).toMatchObject({ refusal: 'token claims unusable' })
})
