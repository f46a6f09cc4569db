import * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { keyPrefixFault } from '../keys/object-key.ts'
import { type Principal, requirePrefix, requireScope } from './principal.ts'
import { SCOPES, type Scope } from './scopes.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'
import { loggable, refuse, type Verdict } from './verdict.ts'

const TOKEN_PREFIX = 'ept_'
const DEFAULT_SECONDS = 600
const MAX_SECONDS = 3600
/** A file of many gigabytes takes its time, and such a token reads nothing and deletes nothing. */
const MAX_UPLOAD_ONLY_SECONDS = 86_400

const claimsSchema = z.object({
  sub: z.string().check(z.minLength(1)),
  scopes: z.array(z.enum(SCOPES)),
  prefix: z.string(),
  exp: z.int(),
})

export interface TokenRequest {
  readonly scopes: readonly Scope[]
  /** Undefined takes the caller's own. */
  readonly prefix?: string | undefined
  /** Seconds, 1 to 3600, or 86400 for uploads alone; undefined is 10 minutes. */
  readonly expiresIn?: number | undefined
}

/** Whether `token` is meant as one that `mintToken` made. */
export const looksLikeToken = (token: string): boolean => token.startsWith(TOKEN_PREFIX)

/**
 * A short-lived token for part of what the caller may do. Throws `forbidden` where it would be
 * wider in scope or prefix, and `invalid_expiry` where it would outlive the caller's own
 * credentials; the default lifetime shrinks to theirs.
 */
export async function mintToken(
  caller: Principal,
  { scopes, prefix = caller.prefix, expiresIn }: TokenRequest,
  { signingSecrets }: SigningSettings,
  now: Date,
): Promise<{ readonly token: string; readonly expiresAt: Date }> {
  const fault = keyPrefixFault(prefix)
  if (fault !== null) throw new ApiError('invalid_key', fault)
  requirePrefix(caller, prefix)
  for (const scope of scopes) requireScope(caller, scope)

  const nowSeconds = Math.floor(now.getTime() / 1000)
  const isUploadOnly = scopes.every((scope) => scope === 'files:upload')
  const longest = isUploadOnly ? MAX_UPLOAD_ONLY_SECONDS : MAX_SECONDS
  const max = Math.min(longest, Math.floor(caller.expiresAt / 1000) - nowSeconds)
  const life = expiresIn ?? Math.min(DEFAULT_SECONDS, max)
  if (life < 1 || life > max)
    throw new ApiError('invalid_expiry', `expiresIn must be from 1 to ${max} seconds for you.`)

  const exp = nowSeconds + life
  const claims: z.infer<typeof claimsSchema> = { sub: caller.id, scopes: [...scopes], prefix, exp }
  return {
    token: TOKEN_PREFIX + (await seal(signingSecrets, 'token', claims)),
    expiresAt: new Date(exp * 1000),
  }
}

/** The principal of a token that `mintToken` made, which may have ended `graceSeconds` ago. */
export async function verifyToken(
  token: string,
  { signingSecrets }: SigningSettings,
  now: Date,
  graceSeconds = 0,
): Promise<Verdict> {
  if (!looksLikeToken(token)) return refuse('token malformed')
  const text = token.slice(TOKEN_PREFIX.length)
  const sealed = await unseal(signingSecrets, 'token', text, now, graceSeconds)
  if (!sealed.ok) return refuse(`token ${sealed.fault}`, loggable(sealed.kid))
  const claims = claimsSchema.safeParse(sealed.claims)
  if (!claims.success) return refuse('token claims unusable')
  const { sub, scopes, prefix, exp } = claims.data
  return { ok: true, principal: { id: sub, scopes, prefix, expiresAt: exp * 1000 } }
}
