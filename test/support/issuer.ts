import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { SCOPES } from '../../src/access/scopes.ts'
import type { KeySourceHooks } from '../../src/plugins/jwt/jwks.ts'

export const ISSUER = 'https://issuer.example/'
export const AUDIENCE = 'edge-presigner'

/** For a caller without a rate limit, whose requests nobody cancels. */
export const NO_HOOKS: KeySourceHooks = { beforeFetch: async () => {}, waitUntil: () => {} }

/** The tests' own JWT issuer, with one ES256 key. */
export interface TestIssuer {
  readonly kid: string
  readonly publicJwk: { readonly kty: 'EC'; readonly [member: string]: unknown }
  readonly privateKey: CryptoKey
  /**
   * Signs a token that is valid for an hour, unless `claims` or `header` say otherwise. `without`
   * names claims to omit.
   */
  sign(
    claims?: JWTPayload,
    header?: Record<string, string>,
    without?: readonly string[],
  ): Promise<string>
}

export async function testIssuer(kid = 'kid-1'): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const publicJwk = { ...(await exportJWK(publicKey)), kty: 'EC' as const, kid, alg: 'ES256' }
  return {
    kid,
    publicJwk,
    privateKey,
    sign(claims = {}, header = {}, without = []) {
      const now = Math.floor(Date.now() / 1000)
      const all = {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: 'alice',
        iat: now,
        exp: now + 3600,
        ...claims,
      }
      const kept = Object.entries(all).filter(([name]) => !without.includes(name))
      return new SignJWT(Object.fromEntries(kept))
        .setProtectedHeader({ alg: 'ES256', kid, ...header })
        .sign(privateKey)
    },
  }
}

/** Returns the variable `JWT` of a Worker that grants `issuer` every scope and every key. */
export const jwtVariable = ({ publicJwk }: TestIssuer) => ({
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  publicJwk,
  prefix: '',
  scopes: SCOPES,
})
