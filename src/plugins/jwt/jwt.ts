import { type JWTPayload, jwtVerify } from 'jose'
import * as errors from 'jose/errors'
import { onlyBuckets } from '../../access/limits.ts'
import { isPrincipalId } from '../../access/principal.ts'
import { SCOPES, type Scope } from '../../access/scopes.ts'
import { membersOf } from '../../access/seal.ts'
import { loggable, type Refuse, refuseAny, type Verdict } from '../../access/verdict.ts'
import { ApiError } from '../../errors/api-error.ts'
import { keyPrefixError } from '../../keys/object-key.ts'
import {
  JwksUnavailableError,
  type KeySource,
  type KeySourceHooks,
  PAUSE_AFTER_FAILURE_SECONDS,
  remoteJwks,
} from './jwks.ts'
import type { JwtSettings } from './options.ts'
import { importPublicKey } from './public-key.ts'

const LEEWAY_SECONDS = 30
/** The last time that a Date can be, in milliseconds since 1970. */
const MAX_TIME = 8.64e15

/** Why a JWT is refused, for the log. */
export const REFUSALS = [
  'jwt malformed',
  'jwt algorithm not allowed',
  'jwt key unknown',
  'jwt signature wrong',
  'jwt claim not accepted',
  'jwt expired',
  'jwt not supported',
  'jwt subject unusable',
  'jwt claim does not fit the prefix',
] as const

type Refusal = (typeof REFUSALS)[number]

const refuse: Refuse<Refusal> = refuseAny

const keySources = new WeakMap<JwtSettings, KeySource>()

/**
 * Returns the principal of a JWT (RFC 7519) from the configured issuer. Throws `unavailable`
 * if the token's key is unknown and the issuer's keys can't be fetched, and any error of
 * `hooks.beforeFetch`.
 */
export async function verifyJwt(
  token: string,
  settings: JwtSettings,
  now: Date,
  hooks: KeySourceHooks,
): Promise<Verdict> {
  let claims: JWTPayload
  try {
    const verified = await jwtVerify(token, (header) => keySource(settings)(header, hooks), {
      issuer: settings.issuer,
      audience: settings.audience,
      algorithms: settings.algorithms,
      clockTolerance: LEEWAY_SECONDS,
      currentDate: now,
      requiredClaims: ['sub', 'exp'],
    })
    claims = verified.payload
  } catch (error) {
    if (error instanceof JwksUnavailableError)
      throw new ApiError('unavailable', "Tokens can't be verified right now. Try again.", {
        reason: 'issuer',
        cause: error,
        retryAfterSeconds: PAUSE_AFTER_FAILURE_SECONDS,
      })
    if (error instanceof errors.JOSEError) return refusalOf(error, token)
    throw error
  }

  const { sub, exp = 0 } = claims
  const expiresAt = exp * 1000
  if (expiresAt > MAX_TIME) return refuse('jwt claim not accepted', 'exp')
  if (!isPrincipalId(sub)) return refuse('jwt subject unusable')
  const prefix = fillPrefix(settings.prefix, claims)
  if (prefix === null) return refuse('jwt claim does not fit the prefix')
  const scopes = settings.scopes ?? scopesIn(claimAt(claims, settings.scopesClaim ?? 'scope'))
  const limits = onlyBuckets(settings.buckets)
  const rights = { scopes, prefix, expiresAt, limits, context: null }
  return { ok: true, principal: { kind: 'jwt', id: `jwt:${sub}`, ...rights } }
}

/** Refusals by jose's error code. jose checks claims only after the signature, and `exp` last. */
const REFUSAL_BY_CODE: Readonly<Record<string, Refusal>> = {
  [errors.JWSInvalid.code]: 'jwt malformed',
  [errors.JWTInvalid.code]: 'jwt malformed',
  [errors.JOSEAlgNotAllowed.code]: 'jwt algorithm not allowed',
  [errors.JWKSNoMatchingKey.code]: 'jwt key unknown',
  [errors.JWKSMultipleMatchingKeys.code]: 'jwt key unknown',
  [errors.JWSSignatureVerificationFailed.code]: 'jwt signature wrong',
  [errors.JWTClaimValidationFailed.code]: 'jwt claim not accepted',
  [errors.JWTExpired.code]: 'jwt expired',
}

/** Returns the refusal for an error of jose, with the claim, key or algorithm that caused it. */
function refusalOf(error: errors.JOSEError, token: string): Verdict {
  const refusal = REFUSAL_BY_CODE[error.code]
  if (refusal === undefined) return refuse('jwt not supported', error.code)
  if (error instanceof errors.JWTClaimValidationFailed)
    return refuse(refusal, error.reason === 'missing' ? `${error.claim} missing` : error.claim)
  if (refusal === 'jwt malformed' || refusal === 'jwt expired') return refuse(refusal)
  const { alg, kid } = membersOf(token.split('.', 1).join()) ?? {}
  return refuse(refusal, loggable(refusal === 'jwt algorithm not allowed' ? alg : kid))
}

function keySource(settings: JwtSettings): KeySource {
  const known = keySources.get(settings)
  if (known !== undefined) return known
  const { jwksUrl, publicJwk } = settings
  const source: KeySource =
    jwksUrl === undefined
      ? async ({ alg }) => {
          const key = publicJwk && alg ? await importPublicKey(publicJwk, alg) : null
          if (key === null) throw new errors.JWKSNoMatchingKey()
          return key
        }
      : remoteJwks(jwksUrl, settings)
  keySources.set(settings, source)
  return source
}

/**
 * Returns `template` with each `{claim}` replaced. Returns null if a claim is missing or would
 * extend beyond its own segment.
 */
function fillPrefix(template: string, claims: JWTPayload): string | null {
  let isValid = true
  const prefix = template.replace(/\{([^{}/]+)\}/g, (_, name: string) => {
    const value = claimAt(claims, name)
    if (typeof value === 'string' && value !== '' && !/[/\\%]/.test(value)) return value
    isValid = false
    return ''
  })
  return isValid && keyPrefixError(prefix) === null ? prefix : null
}

/**
 * Returns the scopes in a claim: a list, or a string separated by spaces (RFC 8693, §4.2). Ignores
 * unknown scopes.
 */
function scopesIn(claim: unknown): Scope[] {
  const names: unknown[] =
    typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return SCOPES.filter((scope) => names.includes(scope))
}

/** Returns the claim called `name`, or the one at this dotted path through objects. */
function claimAt(claims: object, name: string): unknown {
  const own = ownMember(claims, name)
  if (own !== undefined) return own
  return name.split('.').reduce<unknown>(ownMember, claims)
}

function ownMember(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return Reflect.get(value, name)
}
