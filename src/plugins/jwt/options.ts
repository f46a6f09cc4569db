import type { Scope } from '../../access/scopes.ts'
import { keyPrefixError } from '../../keys/object-key.ts'
import { aliasesRule, scopesRule } from '../../settings/access-rules.ts'
import type { Rule } from '../../settings/rules.ts'
import * as r from '../../settings/rules.ts'
import type { Settings } from '../../settings/settings.ts'

/** Whose JWTs are accepted, and what they may do. */
export type JwtInput = JwtTerms & (KeySet | PublicKey) & (SameScopes | ClaimedScopes)

interface JwtTerms {
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly algorithms: readonly string[]
  /** Prefix of the principal. `{claim}` is replaced by a claim of the token. */
  readonly prefix: string
  /** Aliases of the buckets that JWTs may use. The first one is their default. Default: all buckets. */
  readonly buckets?: readonly string[] | undefined
  /** Name of the header that contains the token. Default: `Authorization`. */
  readonly header?: string | undefined
}

interface KeySet {
  /** URL of the issuer's keys. Set this or `publicJwk`. */
  readonly jwksUrl: string
  readonly publicJwk?: undefined
}

interface PublicKey {
  readonly jwksUrl?: undefined
  readonly publicJwk: { readonly kty: 'RSA' | 'EC' | 'OKP'; readonly [member: string]: unknown }
}

interface SameScopes {
  /** Scopes of every token. Set this or `scopesClaim`. */
  readonly scopes: readonly Scope[]
  readonly scopesClaim?: undefined
}

interface ClaimedScopes {
  readonly scopes?: undefined
  readonly scopesClaim: string
}

/** Checked options with their defaults. */
export interface JwtSettings extends JwtTerms {
  readonly jwksUrl?: string | undefined
  readonly publicJwk?: PublicJwk | undefined
  readonly scopes?: readonly Scope[] | undefined
  readonly scopesClaim?: string | undefined
  readonly audience: string[]
  readonly algorithms: string[]
  readonly header: string
}

/** The members of a JSON Web Key that describe its use (RFC 7517, section 4). */
interface KeyKind {
  readonly kty?: unknown
  readonly crv?: unknown
  readonly alg?: unknown
}

/**
 * The curve that an algorithm needs (RFC 7518, section 3.1; RFC 8037). Other algorithms need RSA.
 */
const CURVES: Readonly<Record<string, string>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
}

/** Tells from its `kty`, `crv` and `alg` whether `jwk` is a key for `algorithm`. */
export function fitsAlgorithm({ kty, crv, alg = '' }: KeyKind, algorithm: string): boolean {
  if (alg !== '' && alg !== algorithm) return false
  const curve = CURVES[algorithm]
  if (curve === undefined) return kty === 'RSA'
  return crv === curve && kty === (curve === 'Ed25519' ? 'OKP' : 'EC')
}

/** Signature algorithms with a public key. A shared secret can't be used with them. */
const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

const jwksUrlError = (value: string): string | null =>
  URL.canParse(value)
    ? r.schemeError(new URL(value))
    : 'must be a URL, such as https://issuer.example.com/.well-known/jwks.json'

/**
 * Returns why a template is invalid, or null. It must be a valid prefix for every value of its
 * claims. With `{org}-{sub}`, the user "b-c" of "a" would share a prefix with the user "c" of "a-b".
 */
function prefixTemplateError(value: string): string | null {
  const error = keyPrefixError(value.replace(/\{[^{}/]+\}/g, 'claim'))
  if (error !== null) return error
  if (/[{}]/.test(value.replace(/\{[^{}/]+\}/g, '')))
    return 'must name a claim in each pair of braces, as in "users/{sub}/"'
  return /\}[^/]*\{/.test(value) ? 'must have a "/" between two claims, as in "{org}/{sub}/"' : null
}

type PublicJwk = PublicKey['publicJwk']

const publicJwkRule: Rule<PublicJwk> = (value, place) => {
  const kty = r.table({ kty: r.oneOf('RSA', 'EC', 'OKP') }, 'open')(value, place)
  if (kty === r.BROKEN) return r.BROKEN
  const jwk: PublicJwk = { ...Object(value), ...kty }
  return 'd' in jwk ? r.breaks(place, 'must be only the public key, without "d"') : jwk
}

/** Checks which JWTs are accepted, and what they may do. `settings` have their buckets. */
export const jwtRule = (settings: Pick<Settings, 'buckets'> | null): Rule<JwtSettings> =>
  r.also(
    r.table({
      issuer: r.notEmpty,
      audience: r.oneOrMore(r.notEmpty),
      algorithms: r.list(r.oneOf(...JWT_ALGORITHMS), 1),
      jwksUrl: r.optional(r.text(jwksUrlError)),
      publicJwk: r.optional(publicJwkRule),
      prefix: r.text(prefixTemplateError),
      scopes: r.optional(scopesRule),
      scopesClaim: r.optional(r.notEmpty),
      buckets: aliasesRule(settings),
      header: r.optional(
        r.matching(/^[A-Za-z0-9-]+$/, 'must be the name of a header, such as "Authorization"'),
        'Authorization',
      ),
    }),
    ({ jwksUrl, publicJwk, algorithms, ...jwt }) => {
      if ((jwksUrl === undefined) === (publicJwk === undefined))
        return 'needs either jwksUrl or publicJwk'
      if ((jwt.scopes === undefined) === (jwt.scopesClaim === undefined))
        return 'needs either scopes or scopesClaim'
      return publicJwk !== undefined && !algorithms.some((name) => fitsAlgorithm(publicJwk, name))
        ? 'needs a publicJwk whose kty, crv and alg fit one of its algorithms'
        : null
    },
  )
