import { describe, expect, it } from 'vitest'
import type { Issue } from '../../src/errors/api-error.ts'
import { loadEnvironment } from '../../src/worker/environment.ts'
import { CANARY, fullVariables } from './variables.ts'

function issuesOf(changes: Record<string, unknown>): readonly Issue[] {
  const loaded = loadEnvironment({ ...fullVariables(), ...changes })
  if (loaded.ok) throw new Error('This configuration must not load.')
  expect(JSON.stringify(loaded.issues).toLowerCase()).not.toContain(CANARY)
  return loaded.issues
}

const paths = (changes: Record<string, unknown>): string[] =>
  issuesOf(changes).map(({ path }) => path)

const loads = (changes: Record<string, unknown>): boolean =>
  loadEnvironment({ ...fullVariables(), ...changes }).ok

const SECRET = 'canary-0123456789abcdef012345678'

// @threat secret-printed
describe('a secret that documentation prints', () => {
  const printed = 'replace-this-with-at-least-32-random-characters'

  it.each([
    ['SIGNING_SECRETS', `k1:${printed}`],
    ['SIGNING_SECRETS', `k1:${SECRET},k2:${printed}`],
    ['NOTIFICATION_SECRETS', printed],
    ['NOTIFICATION_SECRETS', `${SECRET},${printed}`],
    ['S3_ACCESS_KEY_ID', 'your-access-key-id'],
    ['S3_SECRET_ACCESS_KEY', 'your-secret-access-key'],
  ])('is refused in %s: %s', (name, value) => {
    expect(issuesOf({ [name]: value })).toEqual([
      {
        path: name,
        message: expect.stringMatching(/^still has a placeholder that documentation prints\. \w/),
      },
    ])
  })
})

describe('NOTIFICATION_SECRETS', () => {
  it.each([
    ['empty text', ' '],
    ['a secret of 31 characters', SECRET.slice(1)],
    ['a secret of 129 characters', 'x'.repeat(129)],
    ['a short secret after a valid one', `${SECRET},canary`],
    ['an empty entry', `${SECRET},`],
    ['three secrets', `${SECRET},${SECRET}x,${SECRET}y`],
    ['a character that a URL would need to encode', `${SECRET}:`],
    ['a space', `${SECRET} x`],
    ['a list', [SECRET]],
  ])('refuse %s', (_, value) => {
    expect(paths({ NOTIFICATION_SECRETS: value })).toEqual(['NOTIFICATION_SECRETS'])
  })

  it('are one or two, or none', () => {
    expect(loads({ NOTIFICATION_SECRETS: SECRET })).toBe(true)
    expect(loads({ NOTIFICATION_SECRETS: `${SECRET}, ${SECRET}x` })).toBe(true)
    expect(loads({ NOTIFICATION_SECRETS: undefined })).toBe(true)
  })

  it('are not silently ignored under a misspelt name', () => {
    const misspelt = { NOTIFICATION_SECRETS: undefined, NOTIFICATION_SECRET: SECRET }
    expect(issuesOf(misspelt)).toEqual([
      {
        path: 'NOTIFICATION_SECRETS',
        message: 'is missing. Rename NOTIFICATION_SECRET to NOTIFICATION_SECRETS.',
      },
    ])
  })
})

describe('SIGNING_SECRETS', () => {
  it.each([
    ['absent', undefined],
    ['empty', ''],
    ['a secret without a kid', SECRET],
    ['an empty kid', `:${SECRET}`],
    ['a kid with invalid characters', `k_1:${SECRET}`],
    ['a long kid', `${'k'.repeat(17)}:${SECRET}`],
    ['a secret of 31 characters', `k1:${SECRET.slice(1)}`],
    ['a short secret after a valid one', `k1:${SECRET},k2:canary`],
    ['an empty entry', `k1:${SECRET},`],
    ['a repeated kid', `k1:${SECRET}, k1:${SECRET}x`],
    ['a value that is not a string', { k1: SECRET }],
  ])('refuse %s', (_, value) => {
    expect(paths({ SIGNING_SECRETS: value })).toEqual(['SIGNING_SECRETS'])
  })

  it('have at least 32 characters', () => {
    expect(SECRET).toHaveLength(32)
    expect(loads({ SIGNING_SECRETS: `k1:${SECRET}` })).toBe(true)
  })
})

describe('API_KEYS', () => {
  const withKey = (changes: Record<string, unknown>) => {
    const [first, second] = fullVariables().API_KEYS
    return { API_KEYS: [first, { ...second, ...changes }] }
  }

  it.each([
    ['id', 'Canary'],
    ['id', ''],
    ['id', 'c'.repeat(33)],
    ['sha256', 'canary'],
    ['sha256', 'A'.repeat(64)],
    ['sha256', 'a'.repeat(63)],
    ['sha256', undefined],
    ['sha256', []],
    ['sha256', ['a', 'b', 'c'].map((digit) => digit.repeat(64))],
    ['scopes', []],
    ['scopes', 'files:read'],
    ['scopes', undefined],
    ['prefix', 'canary'],
    ['prefix', '../canary/'],
    ['prefix', '/'],
    ['prefix', 'canary//'],
    ['prefix', 'canary\n/'],
    ['prefix', 'canary/e\u0301/'],
    ['prefix', undefined],
    ['buckets', 'files'],
    ['buckets', []],
  ])('have a valid %s, not %j', (name, value) => {
    expect(paths(withKey({ [name]: value }))).toEqual([`API_KEYS.1.${name}`])
  })

  it('have two digests while a key is rotated, each valid', () => {
    expect(loads(withKey({ sha256: ['a'.repeat(64), 'b'.repeat(64)] }))).toBe(true)
    expect(paths(withKey({ sha256: ['a'.repeat(64), 'canary'] }))).toEqual(['API_KEYS.1.sha256.1'])
  })

  it('have buckets that exist', () => {
    const { BUCKETS } = fullVariables()
    const aliases = Object.keys(BUCKETS)
    expect(loads(withKey({ buckets: aliases }))).toBe(true)
    expect(issuesOf(withKey({ buckets: [...aliases, 'nope'] }))).toEqual([
      {
        path: `API_KEYS.1.buckets.${aliases.length}`,
        message: 'must be the alias of a bucket',
      },
    ])
  })

  it('have known scopes', () => {
    expect(paths(withKey({ scopes: ['files:read', 'canary:*'] }))).toEqual(['API_KEYS.1.scopes.1'])
  })

  it('have no other member, such as the key itself', () => {
    expect(paths(withKey({ key: 'ep_canary' }))).toEqual(['API_KEYS.1'])
  })

  it('must not repeat an id: the issue names the entries, and not the id, since /healthz is public', () => {
    expect(issuesOf(withKey({ id: 'admin' }))).toEqual([
      { path: 'API_KEYS', message: 'must not repeat an id (entries 0 and 1)' },
    ])
  })

  it('are digests: the issue names a key in place of a digest', () => {
    expect(issuesOf(withKey({ sha256: 'ep_team-a_canary' }))).toEqual([
      { path: 'API_KEYS.1.sha256', message: expect.stringContaining('not the key') },
    ])
  })

  it('get a list of the scopes in the issue about an unknown one', () => {
    expect(issuesOf(withKey({ scopes: ['canary:*'] }))).toEqual([
      { path: 'API_KEYS.1.scopes.0', message: expect.stringContaining('files:upload, files:read') },
    ])
  })

  it('must be a list, as a table or as JSON', () => {
    for (const value of [
      'canary',
      '[{"id": "canary"',
      '{"canary": 1}',
      { canary: 1 },
      'ep_admin_canary',
    ])
      expect(paths({ API_KEYS: value })).toEqual(['API_KEYS'])
  })
})

const NO_ORIGINS = [
  '*',
  'null',
  'canary.example.com',
  'https://canary.example.com/',
  'https://example.com/canary',
  'https://Canary.example.com',
  'https://example.com:443',
  'https://user:canary@example.com',
]

/** Stars that would match too many origins. */
const WIDE_ORIGINS = [
  'https://*',
  'https://*.canary',
  'http://*.canary.example.com',
  'https://canary.*.example.com',
  'https://*.*.canary.com',
  'https://**.canary.com',
  'https://a*.canary.com',
  'https://*a.canary.com',
  'https://*canary.com',
  'https://*.canary.com/',
  'https://*.canary.com/*',
  'https://*.Canary.com',
  'https://*.canary.com:443',
  'https://*.canary.com:*',
  'https://user@*.canary.com',
  'https://*.canary.com@evil.example',
  'https://*.0.0.1',
  'https://*..canary.com',
  'https://*.canary.',
]

/** Suffixes that many parties share. */
const SHARED_ORIGINS = [
  'https://*.pages.dev',
  'https://*.workers.dev',
  'https://*.github.io',
  'https://*.vercel.app',
  'https://*.netlify.app',
  'https://*.netlify.app:8443',
  'https://*.co.uk',
  'https://*.cloudfront.net',
]

describe('CORS_ORIGINS', () => {
  it.each([...NO_ORIGINS, ...WIDE_ORIGINS, ''])(
    'are exact origins, or have a star as their first label, not %j',
    (origin) => {
      expect(paths({ CORS_ORIGINS: ['https://a.example', origin] })).toEqual(['CORS_ORIGINS.1'])
    },
  )

  // @threat cors-shared-suffix
  it.each(SHARED_ORIGINS)('have no star before a suffix that anyone can use: %s', (origin) => {
    expect(issuesOf({ CORS_ORIGINS: [origin] })).toEqual([
      { path: 'CORS_ORIGINS.0', message: expect.stringContaining('anyone can register names') },
    ])
  })

  it.each([
    'https://*.app.pages.dev',
    'https://*.canary.com',
    'https://*.preview.canary.com:8443',
    'https://*.app.vercel.app',
  ])('accept %s', (origin) => {
    expect(loads({ CORS_ORIGINS: [origin] })).toBe(true)
  })

  it('must be a list, even for one origin', () => {
    expect(issuesOf({ CORS_ORIGINS: 'https://canary.example' })).toEqual([
      { path: 'CORS_ORIGINS', message: 'must be a list, such as ["https://app.example.com"]' },
    ])
  })
})

describe('CORS_COOKIE_ORIGINS', () => {
  it.each([...NO_ORIGINS, ''])('are exact origins, not %j', (origin) => {
    expect(paths({ CORS_COOKIE_ORIGINS: [origin] })).toEqual(['CORS_COOKIE_ORIGINS.0'])
  })
})

describe('LINK_ORIGIN', () => {
  it.each([...NO_ORIGINS, 'https://*.app.pages.dev'])('is one exact origin, not %j', (origin) => {
    expect(paths({ LINK_ORIGIN: origin })).toEqual(['LINK_ORIGIN'])
  })
})

describe('JWT', () => {
  const withJwt = (changes: Record<string, unknown>) => ({
    JWT: { ...fullVariables().JWT, ...changes },
  })
  const publicJwk = { kty: 'EC', crv: 'P-256', x: 'canary', y: 'canary' }

  it('have buckets that exist', () => {
    const [alias = ''] = Object.keys(fullVariables().BUCKETS)
    expect(loads(withJwt({ buckets: [alias] }))).toBe(true)
    expect(paths(withJwt({ buckets: ['nope', alias] }))).toEqual(['JWT.buckets.0'])
  })

  it.each(['HS256', 'HS384', 'HS512', 'none', 'None', 'canary', ''])(
    'must not use the algorithm %j',
    (algorithm) => {
      expect(paths(withJwt({ algorithms: ['ES256', algorithm] }))).toEqual(['JWT.algorithms.1'])
    },
  )

  it.each([
    ['issuer', ''],
    ['issuer', undefined],
    ['audience', ''],
    ['audience', []],
    ['audience', undefined],
    ['algorithms', []],
    ['algorithms', undefined],
    ['jwksUrl', 'canary'],
    ['jwksUrl', 'http://canary.example.com/jwks'],
    ['jwksUrl', 'ftp://canary.example.com/jwks'],
    ['buckets', []],
    ['buckets', 'files'],
    ['prefix', undefined],
    ['prefix', 'canary'],
    ['prefix', '{sub}'],
    ['prefix', 'users/{sub'],
    ['prefix', 'users/{sub/'],
    ['prefix', 'users/sub}/'],
    ['prefix', 'users/{}/'],
    ['prefix', 'users/{{sub}}/'],
    ['prefix', 'users/{a/b}/'],
    ['prefix', '../{sub}/'],
    ['prefix', '/{sub}/'],
    ['prefix', 'users//{sub}/'],
    ['prefix', 'canary\u0000/'],
    ['prefix', 'canary/e\u0301/{sub}/'],
    ['header', 'canary header'],
    ['header', ''],
    ['scopesClaim', ''],
  ])('has a valid %s, not %j', (name, value) => {
    const changes =
      name === 'scopesClaim' ? { scopes: undefined, [name]: value } : { [name]: value }
    expect(paths(withJwt(changes))).toContain(`JWT.${name}`)
  })

  it('has a public key in exactly one way', () => {
    expect(paths(withJwt({ publicJwk }))).toEqual(['JWT'])
    expect(paths(withJwt({ jwksUrl: undefined }))).toEqual(['JWT'])
    expect(loads(withJwt({ publicJwk, jwksUrl: undefined }))).toBe(true)
  })

  it('does not accept a shared secret as a public key', () => {
    const changes = { jwksUrl: undefined, publicJwk: { kty: 'oct', k: 'canary' } }
    expect(paths(withJwt(changes))).toEqual(['JWT.publicJwk.kty'])
  })

  it('does not accept a private key as a public key', () => {
    const changes = { jwksUrl: undefined, publicJwk: { ...publicJwk, d: 'canary' } }
    expect(paths(withJwt(changes))).toEqual(['JWT.publicJwk'])
  })

  it('has scopes in exactly one way', () => {
    expect(paths(withJwt({ scopesClaim: 'scope' }))).toEqual(['JWT'])
    expect(paths(withJwt({ scopes: undefined }))).toEqual(['JWT'])
    expect(loads(withJwt({ scopes: undefined, scopesClaim: 'scope' }))).toBe(true)
  })

  it('has known scopes and no other member', () => {
    expect(paths(withJwt({ scopes: ['canary'] }))).toEqual(['JWT.scopes.0'])
    expect(paths(withJwt({ secret: 'canary' }))).toEqual(['JWT'])
  })

  it.each(['', 'users/', 'users/{sub}/', '{org}/{sub}/', 'a-{sub}/b/'])(
    'accepts the prefix %j',
    (prefix) => {
      expect(loads(withJwt({ prefix }))).toBe(true)
    },
  )

  it('may fetch its keys from localhost without TLS', () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]'])
      expect(loads(withJwt({ jwksUrl: `http://${host}:1/jwks` }))).toBe(true)
    expect(loads(withJwt({ jwksUrl: 'ftp://localhost/jwks' }))).toBe(false)
  })
})

describe('OPEN_ACCESS', () => {
  it.each(['true', 'Localhost', '*', 'canary', 'localhost '])('refuses %j', (value) => {
    expect(paths({ OPEN_ACCESS: value })).toEqual(['OPEN_ACCESS'])
  })
})
