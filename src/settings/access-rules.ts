import { SCOPES } from '../access/scopes.ts'
import type { ApiKey, JwtSettings, SigningSecret, SigningSettings } from '../access/settings.ts'
import type { Issue } from '../errors/api-error.ts'
import { keyPrefixError } from '../keys/object-key.ts'
import { fitsAlgorithm } from './jwk-algorithm.ts'
import {
  also,
  BROKEN,
  breaks,
  list,
  matching,
  notEmpty,
  oneOf,
  optional,
  printedError,
  type Rule,
  schemeError,
  table,
  text,
} from './rules.ts'
import type { Settings } from './settings.ts'

const keyPrefix = text(keyPrefixError)
const scopes = list(oneOf(...SCOPES), 1)
/** Accepts aliases of buckets, which `aliasesExist` compares with the buckets. */
const buckets = optional(list(notEmpty, 1))

function digestError(value: string): string | null {
  if (value.startsWith('ep_'))
    return 'must be the digest of the key, not the key. `npm run keys -- create` writes it'
  return /^[0-9a-f]{64}$/.test(value)
    ? null
    : 'must be 64 hexadecimal digits, the SHA-256 of the key'
}

const digest = text(digestError)
const digests = also(list(digest, 1), ({ length }) =>
  length > 2 ? 'must have one or two digests' : null,
)

/** Accepts digests of API keys, never the keys. */
export const apiKeysRule: Rule<ApiKey[]> = also(
  list(
    table({
      id: matching(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9 and "-", such as "ci"'),
      sha256: (value, place) => (Array.isArray(value) ? digests : digest)(value, place),
      scopes,
      prefix: keyPrefix,
      buckets,
    }),
  ),
  (keys) => {
    const ids = keys.map(({ id }) => id)
    const again = ids.findIndex((id, i) => ids.indexOf(id) < i)
    return again === -1
      ? null
      : `must not repeat an id (entries ${ids.indexOf(ids[again] ?? '')} and ${again})`
  },
)

const SECRETS_ADVICE = 'Set it to "k1:" and the output of `openssl rand -hex 32`.'

type Secrets = SigningSettings['signingSecrets']

/** Accepts kid:secret[,kid:secret], for an instance without a name. */
export const signingSecretsRule: Rule<Secrets> = (value, place) => {
  if (value === undefined) return breaks(place, `is missing. ${SECRETS_ADVICE}`)
  const secrets: SigningSecret[] = []
  for (const entry of typeof value === 'string' ? value.split(',') : ['']) {
    const [, kid, secret] = /^([A-Za-z0-9-]{1,16}):([^,]{32,})$/.exec(entry.trim()) ?? []
    if (kid === undefined || secret === undefined)
      return breaks(
        place,
        `must be kid:secret[,kid:secret], each secret of at least 32 characters without ",". ${SECRETS_ADVICE}`,
      )
    const printed = printedError(secret)
    if (printed !== null) return breaks(place, `${printed}. ${SECRETS_ADVICE}`)
    if (secrets.some((other) => other.kid === kid)) return breaks(place, 'must not repeat a kid')
    secrets.push({ name: '', kid, secret })
  }
  const [first, ...others] = secrets
  return first === undefined ? BROKEN : [first, ...others]
}

/** Returns an issue for each bucket of an API key or of JWTs that doesn't exist. */
export function unknownAliases({ buckets, apiKeys, jwt, jwtPath }: Settings): Issue[] {
  const aliases = buckets.map(({ alias }) => alias)
  const keysPath = jwtPath === 'JWT' ? 'API_KEYS' : 'apiKeys'
  return [...apiKeys.map((key, i) => [`${keysPath}.${i}`, key] as const), [jwtPath, jwt] as const]
    .flatMap(([path, has]) => (has?.buckets ?? []).map((alias, i) => ({ path, alias, i })))
    .filter(({ alias }) => !aliases.includes(alias))
    .map(({ path, i }) => ({
      path: `${path}.buckets.${i}`,
      message: 'must be the alias of a bucket',
    }))
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
    ? schemeError(new URL(value))
    : 'must be a URL, such as https://issuer.example.com/.well-known/jwks.json'

/**
 * Returns why a template is invalid, or null. It must be a valid prefix for every value of its
 * claims.
 */
const prefixTemplateError = (value: string): string | null =>
  keyPrefixError(value.replace(/\{[^{}/]+\}/g, 'claim')) ??
  (/[{}]/.test(value.replace(/\{[^{}/]+\}/g, ''))
    ? 'must name a claim in each pair of braces, as in "users/{sub}/"'
    : null)

type PublicJwk = NonNullable<JwtSettings['publicJwk']>

const publicJwkRule: Rule<PublicJwk> = (value, place) => {
  const kty = table({ kty: oneOf('RSA', 'EC', 'OKP') }, 'open')(value, place)
  if (kty === BROKEN) return BROKEN
  const jwk: PublicJwk = { ...Object(value), ...kty }
  return 'd' in jwk ? breaks(place, 'must be only the public key, without "d"') : jwk
}

const audienceRule: Rule<string | string[]> = (value, place) =>
  Array.isArray(value) ? list(notEmpty, 1)(value, place) : notEmpty(value, place)

/** Checks which JWTs are accepted, and what they allow. */
export const jwtRule: Rule<JwtSettings> = also(
  table({
    issuer: notEmpty,
    audience: audienceRule,
    algorithms: list(oneOf(...JWT_ALGORITHMS), 1),
    jwksUrl: optional(text(jwksUrlError)),
    publicJwk: optional(publicJwkRule),
    prefix: text(prefixTemplateError),
    scopes: optional(scopes),
    scopesClaim: optional(notEmpty),
    buckets,
    header: optional(
      matching(/^[A-Za-z0-9-]+$/, 'must be the name of a header, such as "Authorization"'),
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
