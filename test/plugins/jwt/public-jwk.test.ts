import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../../src/access/scopes.ts'
import { jwtRule } from '../../../src/plugins/jwt/options.ts'
import { withKey as checkKey } from '../../../src/plugins/jwt/public-key.ts'
import { loadEnvironment } from '../../../src/worker/environment.ts'
import { readVariable } from '../../../src/worker/variables.ts'
import { fullVariables } from '../../settings/variables.ts'
import { toBase64url } from '../../support/base64.ts'
import { bearer, testApiKey } from '../../support/credentials.ts'
import { jwtVariable, testIssuer } from '../../support/issuer.ts'
import { testWorker } from '../../support/worker.ts'

const BYTES_32 = toBase64url(new Uint8Array(32).fill(1))
const BYTES_128 = toBase64url(new Uint8Array(128).fill(255))
const CANARY_POINT = { kty: 'EC', crv: 'P-256', x: 'canary', y: 'canary' }

const withKey = (publicJwk: object, algorithms: readonly string[]) => ({
  ...fullVariables(),
  JWT: { ...fullVariables().JWT, jwksUrl: undefined, publicJwk, algorithms },
})

const paths = async (variables: object) => {
  const loaded = loadEnvironment(variables)
  const jwt = loaded.ok && readVariable(variables, 'JWT', jwtRule(loaded.settings)).value
  const checked = jwt ? await checkKey(loaded, jwt, 'JWT') : loaded
  if (checked.ok) return []
  expect(JSON.stringify(checked.issues)).not.toContain('canary')
  return checked.issues.map(({ path }) => path)
}

describe('publicJwk is imported when the configuration loads:', () => {
  it.each<readonly [string, object, readonly string[]]>([
    ['a point off its curve', { ...CANARY_POINT, x: BYTES_32, y: BYTES_32 }, ['ES256']],
    ['a point of the wrong length', CANARY_POINT, ['ES256']],
    ['a missing point', { kty: 'EC', crv: 'P-256' }, ['ES256']],
    ['an Ed25519 key that is too short', { kty: 'OKP', crv: 'Ed25519', x: 'AQ' }, ['EdDSA']],
    ['RSA of 1024 bits', { kty: 'RSA', n: BYTES_128, e: 'AQAB' }, ['RS256']],
    ['RSA without a modulus', { kty: 'RSA', e: 'AQAB' }, ['PS256', 'RS256']],
  ])('%s is not a valid key', async (_, publicJwk, algorithms) => {
    expect(await paths(withKey(publicJwk, algorithms))).toEqual(['JWT.publicJwk'])
  })

  it.each<readonly [string, object, readonly string[]]>([
    ['a curve without a listed algorithm', CANARY_POINT, ['ES384', 'RS256', 'EdDSA']],
    ['RSA for ES256', { kty: 'RSA', n: 'canary', e: 'AQAB' }, ['ES256']],
    ['a type that does not match its curve', { ...CANARY_POINT, kty: 'OKP' }, ['ES256']],
    ['an alg that is not among the algorithms', { ...CANARY_POINT, alg: 'ES384' }, ['ES256']],
  ])('it is refused with %s', async (_, publicJwk, algorithms) => {
    expect(await paths(withKey(publicJwk, algorithms))).toEqual(['JWT'])
  })

  it('it is accepted when it fits one of the algorithms', async () => {
    const { publicJwk } = await testIssuer()
    expect(await paths(withKey(publicJwk, ['RS256', 'ES256']))).toEqual([])
  })
})

// @threat jwt-bad-key
it('reports an unusable publicJwk in /healthz, and disables every route and link', async () => {
  const apiKey = await testApiKey('ci', SCOPES)
  const jwt = {
    ...jwtVariable(await testIssuer()),
    publicJwk: { ...CANARY_POINT, x: BYTES_32, y: BYTES_32 },
  }
  const worker = testWorker({ OPEN_ACCESS: undefined, API_KEYS: [apiKey.entry], JWT: jwt })
  const health = await worker.fetch('/healthz')
  expect(health.status).toBe(503)
  expect(await health.json()).toMatchObject({
    code: 'misconfigured',
    issues: [{ path: 'JWT.publicJwk' }],
  })
  for (const path of ['/files', '/i/files/a.txt?exp=1&kid=k1&sig=x', '/i/x'])
    expect((await worker.fetch(path, bearer(apiKey.token))).status, path).toBe(503)
})
