import { errors, type JWTPayload, jwtVerify } from 'jose'
import { ApiError } from '../errors/api-error.ts'
import { keyPrefixFault } from '../keys/object-key.ts'
import { JwksUnavailableError, type KeySource, type KeySourceHooks, remoteJwks } from './jwks.ts'
import { isPrincipalId } from './principal.ts'
import { importPublicKey } from './public-key.ts'
import { SCOPES, type Scope } from './scopes.ts'
import type { JwtSettings } from './settings.ts'
import type { Verdict } from './verdict.ts'

const LEEWAY_SECONDS = 30

const keySources = new WeakMap<JwtSettings, KeySource>()

/**
 * The principal of a JWT (RFC 7519) from the configured issuer. Throws `auth_unavailable` where the
 * issuer's keys can't be had and the key of this token isn't known, and whatever
 * `hooks.beforeFetch` throws.
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
      throw new ApiError('auth_unavailable', 'Tokens cannot be checked right now; try again.', {
        cause: error,
      })
    if (error instanceof errors.JOSEError) {
      const claim = 'claim' in error ? ` ${error.claim}` : ''
      return { ok: false, reason: `jwt ${error.code}${claim}` }
    }
    throw error
  }

  const { sub, exp = 0 } = claims
  if (!isPrincipalId(sub)) return { ok: false, reason: 'jwt subject unusable' }
  const prefix = fillPrefix(settings.prefix, claims)
  if (prefix === null) return { ok: false, reason: 'jwt claim does not fit the prefix' }
  const scopes = settings.scopes ?? scopesIn(claimAt(claims, settings.scopesClaim ?? 'scope'))
  return { ok: true, principal: { id: `jwt:${sub}`, scopes, prefix, expiresAt: exp * 1000 } }
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
 * `template` with each `{claim}` replaced, or null where a claim is missing or would leave its own
 * segment.
 */
function fillPrefix(template: string, claims: JWTPayload): string | null {
  let sound = true
  const prefix = template.replace(/\{([^{}/]+)\}/g, (_, name: string) => {
    const value = claimAt(claims, name)
    if (typeof value === 'string' && value !== '' && !/[/\\%]/.test(value)) return value
    sound = false
    return ''
  })
  return sound && keyPrefixFault(prefix) === null ? prefix : null
}

/**
 * Scopes in a claim: a list, or text with spaces between (RFC 8693, §4.2). Unknown ones are
 * dropped.
 */
function scopesIn(claim: unknown): Scope[] {
  const names: unknown[] =
    typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return SCOPES.filter((scope) => names.includes(scope))
}

/**
 * The claim called `name`, or the one at the end of a dotted path through claims that are objects.
 */
function claimAt(claims: object, name: string): unknown {
  const own = ownMember(claims, name)
  if (own !== undefined) return own
  return name.split('.').reduce<unknown>(ownMember, claims)
}

function ownMember(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return Reflect.get(value, name)
}
