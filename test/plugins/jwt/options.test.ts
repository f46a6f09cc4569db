import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPresigner, defineSettings } from '../../../src/index.ts'
import { jwt as createJwt } from '../../../src/plugins/jwt/index.ts'
import { fullVariables, loads, paths } from '../../settings/variables.ts'
import { jsonOf, settingsInput } from '../../support/app.ts'
import { bucketFetch, bucketUrl } from '../../support/bucket.ts'
import { bearer } from '../../support/credentials.ts'
import { AUDIENCE, ISSUER, testIssuer } from '../../support/issuer.ts'
import { clientOf, mount } from '../../support/mount.ts'

afterEach(() => vi.restoreAllMocks())

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
    ['prefix', 'users/{org}-{sub}/'],
    ['prefix', '{org}{sub}/files/'],
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

describe('the issuer of an app', () => {
  const jwt = {
    issuer: 'https://issuer.example',
    audience: 'a',
    algorithms: ['ES256'],
    jwksUrl: 'https://issuer.example/jwks.json',
    prefix: '',
    scopes: ['files:read'],
  } as const
  const issuesWith = async (accept: unknown) => {
    const app = mount({ authenticate: undefined as never, jwt: { accept: accept as never } })
    return (await jsonOf(await app.fetch('/media/healthz'))).issues
  }

  it('has buckets that exist', async () => {
    const accept = { ...jwt, buckets: ['y', 'files'] }
    const issue = { path: 'jwt.accept.buckets.0', message: 'must be the alias of a bucket' }
    expect(await issuesWith(accept)).toEqual([issue])
    expect(await issuesWith(() => accept)).toEqual([issue])
    expect(await issuesWith({ ...jwt, buckets: ['files'] })).toBeUndefined()
  })

  it('is checked, and has no other option next to it', async () => {
    expect(await issuesWith('canary')).toEqual([
      {
        path: 'jwt.accept',
        message: expect.stringMatching(/^must be an object: \{ issuer, audience, /),
      },
    ])
    const app = mount({
      authenticate: undefined as never,
      jwt: { accept: undefined, canary: true } as never,
    })
    expect((await jsonOf(await app.fetch('/media/healthz'))).issues).toEqual([
      { path: 'jwt', message: 'has unknown members: canary. Known members: accept' },
    ])
  })

  it('has its keys fetched once, also if each request has its own environment', async () => {
    const issuer = await testIssuer()
    const path = `own-keys-${crypto.randomUUID()}.json`
    await bucketFetch(path, { method: 'PUT', body: JSON.stringify({ keys: [issuer.publicJwk] }) })
    const jwksUrl = await bucketUrl(path)
    const accept = { ...jwt, issuer: ISSUER, audience: AUDIENCE, jwksUrl }
    const presigner = createPresigner(defineSettings(settingsInput()), {
      plugins: [createJwt({ accept: () => structuredClone(accept) })],
      log: () => undefined,
    })
    const app = clientOf({ fetch: (request, _, context) => presigner.fetch(request, {}, context) })
    const fetched = vi.spyOn(globalThis, 'fetch')
    const token = await issuer.sign()
    for (let i = 0; i < 3; i++)
      expect((await app.fetch('/files/a/url', bearer(token))).status).toBe(200)
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('is not kept for ever, if a function returns another one for each request', async () => {
    const kept = vi.spyOn(Map.prototype, 'set')
    const presigner = createPresigner<{ readonly host: string }>(defineSettings(settingsInput()), {
      plugins: [
        createJwt({ accept: ({ host }: { host: string }) => ({ ...jwt, audience: host }) }),
      ],
    })
    for (let i = 0; i < 1500; i++) presigner.instance({ host: `${i}.example` })
    const map = kept.mock.contexts.find((_, i) => `${kept.mock.calls[i]}`.includes('.example'))
    expect(map).toHaveProperty('size', 500)
  })
})
