import * as z from 'zod/mini'
import { fitsAlgorithm } from '../../access/public-key.ts'
import { SCOPES } from '../../access/scopes.ts'
import type { ApiKey, JwtSettings } from '../../access/settings.ts'
import { keyPrefixFault } from '../../keys/object-key.ts'
import { sound } from './checks.ts'

const keyPrefix = z.string().check(sound(keyPrefixFault))
const scopes = z.array(z.enum(SCOPES)).check(z.minLength(1))

const apiKeySchema = z.strictObject({
  id: z.string().check(z.regex(/^[a-z0-9-]{1,32}$/, 'must be 1 to 32 of a-z, 0-9 and "-"')),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')),
  scopes,
  prefix: keyPrefix,
}) satisfies z.ZodMiniType<ApiKey>

/** `API_KEYS`: digests of the keys, never the keys. */
export const apiKeysSchema = z
  .array(apiKeySchema)
  .check(
    sound((keys) =>
      new Set(keys.map(({ id }) => id)).size < keys.length ? 'must not repeat an id' : null,
    ),
  )

/** `SIGNING_SECRETS`: kid:secret[,kid:secret]. */
export const signingSecretsSchema = z.string().check(
  sound((value) => {
    const kids = value
      .split(',')
      .map((entry) => /^([A-Za-z0-9-]{1,16}):[^,]{32,}$/.exec(entry.trim())?.[1])
    if (kids.includes(undefined))
      return 'must be kid:secret[,kid:secret], each secret of at least 32 characters without ","'
    return new Set(kids).size < kids.length ? 'must not repeat a kid' : null
  }),
)

/** Signature algorithms with a public key: a shared secret can't be confused with one of these. */
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

function jwksUrlFault(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL'
  const { protocol, hostname } = new URL(value)
  if (protocol === 'https:' || hostname === 'localhost' || hostname === '127.0.0.1') return null
  return 'must start with https://'
}

/** A template is sound if it is a sound prefix whatever its `{claim}` holds. */
const prefixTemplateFault = (value: string): string | null =>
  keyPrefixFault(value.replace(/\{[^{}/]+\}/g, 'claim')) ??
  (/[{}]/.test(value.replace(/\{[^{}/]+\}/g, '')) ? 'must close each "{"' : null)

const publicJwkSchema = z
  .looseObject({ kty: z.enum(['RSA', 'EC', 'OKP']) })
  .check(sound((jwk) => ('d' in jwk ? 'must be the public key alone, without "d"' : null)))

/** `JWT`: whose tokens are taken, and what they allow. */
export const jwtSchema = z
  .strictObject({
    issuer: z.string().check(z.minLength(1)),
    audience: z.union([
      z.string().check(z.minLength(1)),
      z.array(z.string()).check(z.minLength(1)),
    ]),
    algorithms: z.array(z.enum(JWT_ALGORITHMS)).check(z.minLength(1)),
    jwksUrl: z.optional(z.string().check(sound(jwksUrlFault))),
    publicJwk: z.optional(publicJwkSchema),
    prefix: z.string().check(sound(prefixTemplateFault)),
    scopes: z.optional(scopes),
    scopesClaim: z.optional(z.string().check(z.minLength(1))),
    header: z._default(
      z.string().check(z.regex(/^[A-Za-z0-9-]+$/, 'must be the name of a header')),
      'Authorization',
    ),
  })
  .check(
    sound((jwt) =>
      (jwt.jwksUrl === undefined) === (jwt.publicJwk === undefined)
        ? 'needs either jwksUrl or publicJwk'
        : null,
    ),
    sound((jwt) =>
      (jwt.scopes === undefined) === (jwt.scopesClaim === undefined)
        ? 'needs either scopes or scopesClaim'
        : null,
    ),
    sound(({ publicJwk, algorithms }) =>
      publicJwk !== undefined && !algorithms.some((name) => fitsAlgorithm(publicJwk, name))
        ? 'needs a publicJwk whose kty, crv and alg fit one of its algorithms'
        : null,
    ),
  ) satisfies z.ZodMiniType<JwtSettings>
