import { SignJWT, UnsecuredJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { KEY_SCOPES, SCOPES, type Scope } from '../../src/access/scopes.ts'
import { bucketFetch, bucketUrl } from '../support/bucket.ts'
import { bearer, type TestApiKey, testApiKey } from '../support/credentials.ts'
import { app } from '../support/every-plugin.ts'
import { AUDIENCE, ISSUER, type TestIssuer, testIssuer } from '../support/issuer.ts'
import {
  allowedWithoutKey,
  CHOSEN_KEY_ROUTES,
  COPY_TARGET_ROUTES,
  OPEN_ROUTES,
  outcomeOf,
  type ProtectedRoute,
  ROUTES,
  requestTo,
} from '../support/protected-routes.ts'
import { s3rverBucket, type TestWorker, testWorker } from '../support/worker.ts'

let issuer: TestIssuer
let stranger: TestIssuer
let full: TestApiKey
let teamA: TestApiKey
let scopeless: Readonly<Record<Scope, TestApiKey>>
let minted: string
/** A token that may use only one of two buckets. */
let limited: string
let worker: TestWorker

/** Calls a route with a token in the header, or with `base` in front of its path. */
const call = (
  route: ProtectedRoute,
  key: string,
  { base = '', ...more }: Readonly<Record<string, string>> = {},
): Promise<Response> => {
  const [path, init] = requestTo(route, key, more)
  return worker.fetch(base + path, init)
}

/** Reports each route with another outcome, and doesn't stop at the first. */
async function expectOutcome(
  route: ProtectedRoute,
  response: Response,
  expected = route.allowed,
): Promise<void> {
  expect.soft(await outcomeOf(route, response), route.route).toBe(expected)
}

async function expectUnauthenticated(route: ProtectedRoute, response: Response): Promise<void> {
  const challenge = response.headers.get('WWW-Authenticate')
  expect.soft(challenge, route.route).toMatch(/^Bearer(?: error="invalid_token")?$/)
  await expectOutcome(route, response, UNAUTHENTICATED)
}

const UNAUTHENTICATED = '401 unauthenticated'
const FORBIDDEN = '403 forbidden'

/** A well-formed API key with an unknown id. */
const unknownKey = () => full.token.replace('ep_full_', 'ep_nobody_')

beforeAll(async () => {
  issuer = await testIssuer()
  stranger = await testIssuer('kid-2')
  full = await testApiKey('full', KEY_SCOPES)
  teamA = await testApiKey('team-a', KEY_SCOPES, 'team-a/')
  const withoutEach = await Promise.all(
    KEY_SCOPES.map(async (scope, index) => {
      const others = KEY_SCOPES.filter((other) => other !== scope)
      return [scope, await testApiKey(`without-${index}`, others)] as const
    }),
  )
  scopeless = Object.fromEntries(withoutEach) as Record<Scope, TestApiKey>

  const jwksUrl = await bucketUrl('jwks-authorization.json')
  await bucketFetch('jwks-authorization.json', {
    method: 'PUT',
    body: JSON.stringify({ keys: [issuer.publicJwk] }),
  })
  worker = testWorker(
    {
      OPEN_ACCESS: undefined,
      BUCKETS: { files: s3rverBucket(), other: s3rverBucket() },
      API_KEYS: [full, teamA, ...withoutEach.map(([, key]) => key)].map(({ entry }) => entry),
      JWT: {
        issuer: ISSUER,
        audience: AUDIENCE,
        algorithms: ['ES256'],
        jwksUrl,
        prefix: 'users/{sub}/',
        scopes: SCOPES,
      },
    },
    'https://presigner.example',
  )
  const tokens = await worker.post('/tokens', { scopes: SCOPES }, bearer(full.token))
  minted = (await tokens.json<{ token: string }>()).token
  const request = { scopes: SCOPES, subject: 'alice', buckets: ['files'] }
  const user = await worker.post('/tokens', request, bearer(full.token))
  limited = (await user.json<{ token: string }>()).token
})

// @threat app-csrf
it('tests every route of the app', () => {
  const registered = app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path}`)
  const known = ROUTES.map(({ route }) => route)
  const inPath = known.map((route) => route.replace(' /', ' /u/:token/'))
  const tested = [...known, ...inPath, ...OPEN_ROUTES]
  const notIn = (some: readonly string[], all: readonly string[]) =>
    [...new Set(some)].filter((route) => !all.includes(route))
  expect.soft(notIn(tested, registered), 'not in the app').toEqual([])
  expect.soft(notIn(registered, tested), 'not in the table').toEqual([])
})

// @threat token-other-bucket
it('knows every route that takes a bucket', () => {
  const taking = app.routes.flatMap(({ method, path, handler }) => {
    const schemas: unknown[] = ['body', 'query'].map((name) => Reflect.get(handler, name))
    const takesBucket = schemas.some((schema) => 'bucket' in Object(Object(schema).shape))
    return takesBucket && !path.startsWith('/u/') ? [`${method} ${path}`] : []
  })
  const known = ROUTES.filter(({ bucketIn }) => bucketIn !== null).map(({ route }) => route)
  expect(new Set(taking)).toEqual(new Set(known))
})

it('answers /healthz to anyone', async () => {
  expect((await worker.fetch('/healthz')).status).toBe(200)
})

describe('every route', () => {
  const all = [...ROUTES, ...CHOSEN_KEY_ROUTES, ...COPY_TARGET_ROUTES]
  const takingKeys = all.filter(({ takesKey }) => takesKey)
  const missing = 'nobody/uploaded.txt'

  // @threat no-credentials
  it('refuses an API key that does not exist', async () => {
    for (const route of all)
      await expectUnauthenticated(route, await call(route, 'a.txt', { token: unknownKey() }))
  })

  it('refuses an invalid token in the path', async () => {
    for (const route of all)
      await expectUnauthenticated(route, await call(route, 'a.txt', { base: '/u/garbage' }))
  })

  it('accepts an API key with its scope', async () => {
    for (const route of all)
      await expectOutcome(route, await call(route, missing, { token: full.token }))
  })

  it('accepts a token in the path', async () => {
    for (const route of all) {
      const response = await call(route, missing, { base: `/u/${minted}` })
      await expectOutcome(route, response, allowedWithoutKey(route))
    }
  })

  it('refuses a principal without its scope', async () => {
    for (const route of all) {
      if (route.scope === null) continue
      const { token } = scopeless[route.scope]
      await expectOutcome(route, await call(route, 'a.txt', { token }), FORBIDDEN)
    }
  })

  it('accepts a principal with any scope where it needs none', async () => {
    for (const route of all.filter(({ scope }) => scope === null))
      for (const { token } of Object.values(scopeless))
        await expectOutcome(route, await call(route, 'a.txt', { token }))
  })

  // @threat token-other-bucket
  it('refuses a bucket that the token may not use, whether or not it exists', async () => {
    for (const route of all.filter(({ bucketIn }) => bucketIn !== null)) {
      const inBucket = (bucket: string) => call(route, missing, { token: limited, bucket })
      await expectOutcome(route, await inBucket('other'), FORBIDDEN)
      await expectOutcome(route, await inBucket('nope'), FORBIDDEN)
      await expectOutcome(route, await inBucket('files'), allowedWithoutKey(route))
    }
  })

  // @threat foreign-key
  it("refuses a key outside the principal's prefix", async () => {
    for (const route of takingKeys)
      await expectOutcome(
        route,
        await call(route, 'team-b/a.txt', { token: teamA.token }),
        FORBIDDEN,
      )
  })

  it('refuses dot segments in a key', async () => {
    for (const route of takingKeys) {
      const response = await call(route, 'team-a/../team-b/a.txt', { token: teamA.token })
      await expectOutcome(route, response, '400 invalid_key')
    }
  })

  it('accepts a key within the prefix with encoded slashes', async () => {
    for (const route of takingKeys)
      await expectOutcome(route, await call(route, `team-a/${missing}`, { token: teamA.token }))
  })
})

/**
 * All routes check credentials and keys with the same code: the tests above show that with one bad
 * credential and one bad key each. All other kinds are tested on one route, with its key in the
 * path.
 */
describe('GET /files/:key/url with credentials and keys of every kind', () => {
  const ask = async (key: string, init: RequestInit, base = '') => {
    const response = await worker.fetch(`${base}/files/${encodeURIComponent(key)}/url`, init)
    const { code }: { code?: string } = await response.json()
    return code === undefined ? `${response.status}` : `${response.status} ${code}`
  }
  const now = () => Math.floor(Date.now() / 1000)

  // @threat jwt-forged jwt-claim-in-prefix
  it.each<readonly [string, () => RequestInit | Promise<RequestInit>]>([
    ['no credentials', () => ({})],
    ['an empty Authorization', () => ({ headers: { Authorization: '' } })],
    ['a scheme without a token', () => ({ headers: { Authorization: 'Bearer' } })],
    ['garbage', () => ({ headers: { Authorization: 'Bearer %00 ..' } })],
    ['the key without a scheme', () => ({ headers: { Authorization: full.token } })],
    ['the scheme Basic', () => ({ headers: { Authorization: `Basic ${full.token}` } })],
    ['an unknown key id', () => bearer(unknownKey())],
    ['the secret of another key', () => bearer(teamA.token.replace('team-a', 'full'))],
    ['a key that is too short', () => bearer(full.token.slice(0, -1))],
    ['a key that is too long', () => bearer(`${full.token}A`)],
    ['a key without a secret', () => bearer('ep_full_')],
    ['an expired JWT', async () => bearer(await issuer.sign({ exp: now() - 31 }))],
    ['a JWT without exp', async () => bearer(await issuer.sign({}, {}, ['exp']))],
    ['a JWT from the future', async () => bearer(await issuer.sign({ nbf: now() + 3600 }))],
    ['a JWT without sub', async () => bearer(await issuer.sign({}, {}, ['sub']))],
    [
      'a JWT of a different issuer',
      async () => bearer(await issuer.sign({ iss: 'https://evil.example/' })),
    ],
    ['a JWT for a different audience', async () => bearer(await issuer.sign({ aud: 'other' }))],
    [
      'a JWT with a wrong signature',
      async () => bearer(await stranger.sign({}, { kid: issuer.kid })),
    ],
    ['a JWT with an unknown kid', async () => bearer(await stranger.sign())],
    ['a truncated JWT', async () => bearer((await issuer.sign()).slice(0, -1))],
    [
      'an unsigned JWT',
      () =>
        bearer(
          new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: now() + 60 }).encode(),
        ),
    ],
    [
      'an HS256 JWT signed with the public key',
      async () =>
        bearer(
          await new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: now() + 60 })
            .setProtectedHeader({ alg: 'HS256', kid: issuer.kid })
            .sign(new TextEncoder().encode(JSON.stringify(issuer.publicJwk))),
        ),
    ],
    ['an invalid token', () => bearer('ept_eyJhbGciOiJIUzI1NiJ9.e30.AAAA')],
    ['a JWT claim that leaves the prefix', async () => bearer(await issuer.sign({ sub: '..' }))],
    ['a JWT claim with a slash', async () => bearer(await issuer.sign({ sub: 'alice/../bob' }))],
  ])('refuses %s', async (_, init) => {
    expect(await ask('users/alice/a.txt', await init())).toBe(UNAUTHENTICATED)
  })

  it('refuses an API key as the token in the path', async () => {
    expect(await ask('a.txt', {}, `/u/${full.token}`)).toBe(UNAUTHENTICATED)
  })

  it('accepts a JWT within its prefix', async () => {
    const jwt = bearer(await issuer.sign())
    expect(await ask('users/alice/a.txt', jwt)).toBe('200')
    expect(await ask('users/bob/a.txt', jwt)).toBe(FORBIDDEN)
  })

  it('refuses a key outside the prefix, in any spelling', async () => {
    for (const [kind, key] of [
      ['a foreign prefix', 'team-b/a.txt'],
      ['a prefix that only starts with the same letters', 'team-ab/a.txt'],
      ['a shorter prefix', 'team-'],
      ['the prefix in different case', 'Team-A/a.txt'],
      ['a leading slash', '/team-a/a.txt'],
      ['a backslash instead of a slash', 'team-a\\a.txt'],
      ['a slash that was encoded twice', 'team-a%2Fa.txt'],
    ] as const)
      expect.soft(await ask(key, bearer(teamA.token)), kind).toBe(FORBIDDEN)
  })

  it('refuses dot segments anywhere in a key', async () => {
    for (const key of ['team-a/../team-b/a.txt', 'team-a/./a.txt', '../a.txt', 'team-a/..'])
      expect.soft(await ask(key, bearer(teamA.token)), key).toBe('400 invalid_key')
  })
})

it('puts new keys under the prefix of the principal', async () => {
  const upload = { fileName: 'a.txt', mimetype: 'text/plain', directory: 'x' }
  const byKey = await worker.post('/files/upload-url', upload, bearer(teamA.token))
  expect(await byKey.json()).toMatchObject({ key: expect.stringMatching(/^team-a\/uploads\/x\//) })
  const byJwt = await worker.post('/files/upload-url', upload, bearer(await issuer.sign()))
  expect(await byJwt.json()).toMatchObject({
    key: expect.stringMatching(/^users\/alice\/uploads\/x\//),
  })
})

// @threat no-credentials
it('refuses everyone on a host that is not localhost', async () => {
  for (const host of [
    'presigner.example',
    'localhost.example',
    '127.0.0.1.example',
    'localhost.',
  ]) {
    const response = await testWorker({}, `https://${host}`).fetch('/files')
    expect(response.status, host).toBe(401)
  }
  expect((await testWorker({ OPEN_ACCESS: '' }).fetch('/files')).status).toBe(401)
  expect((await testWorker().fetch('/files')).status).toBe(200)
})
