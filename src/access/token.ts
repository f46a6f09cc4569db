import * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { keyPrefixError } from '../keys/object-key.ts'
import { type Principal, requirePrefix, requireScope } from './principal.ts'
import { SCOPES, type Scope } from './scopes.ts'
import { seal, unseal } from './seal.ts'
import type { SigningSettings } from './settings.ts'
import { loggable, refuse, type Verdict } from './verdict.ts'

const TOKEN_PREFIX = 'ept_'
const DEFAULT_SECONDS = 600
const MAX_SECONDS = 3600
/** Longer, since a large file may take hours. Such a token can't read or delete files. */
const MAX_UPLOAD_ONLY_SECONDS = 86_400

const claimsSchema = z.object({
  sub: z.string().check(z.minLength(1)),
  scopes: z.array(z.enum(SCOPES)),
  prefix: z.string(),
  exp: z.int(),
})

export interface TokenRequest {
  readonly scopes: readonly Scope[]
  /** Default: the caller's own prefix. */
  readonly prefix?: string | undefined
  /** 1 to 3600 seconds, or to 86400 with only `files:upload`. Default: 10 minutes. */
  readonly expiresIn?: number | undefined
}

/** Tells whether `token` starts like a token from `mintToken`. */
export const looksLikeToken = (token: string): boolean => token.startsWith(TOKEN_PREFIX)

/**
 * Returns a short-lived token with some of the caller's permissions. Throws `forbidden` if it
 * exceeds the caller's scopes or prefix. Throws `invalid_expiry` if it would expire after the
 * caller's own credentials. The default lifetime is shortened to theirs.
 */
export async function mintToken(
  caller: Principal,
  { scopes, prefix = caller.prefix, expiresIn }: TokenRequest,
  { signingSecrets }: SigningSettings,
  now: Date,
): Promise<{ readonly token: string; readonly expiresAt: Date }> {
  const prefixError = keyPrefixError(prefix)
  if (prefixError !== null) throw new ApiError('invalid_key', prefixError)
  requirePrefix(caller, prefix)
  for (const scope of scopes) requireScope(caller, scope)

  const nowSeconds = Math.floor(now.getTime() / 1000)
  const isUploadOnly = scopes.every((scope) => scope === 'files:upload')
  const longest = isUploadOnly ? MAX_UPLOAD_ONLY_SECONDS : MAX_SECONDS
  const max = Math.min(longest, Math.floor(caller.expiresAt / 1000) - nowSeconds)
  const lifetime = expiresIn ?? Math.min(DEFAULT_SECONDS, max)
  if (lifetime < 1 || lifetime > max)
    throw new ApiError('invalid_expiry', `expiresIn must be from 1 to ${max} seconds for you.`)

  const exp = nowSeconds + lifetime
  const claims: z.infer<typeof claimsSchema> = { sub: caller.id, scopes: [...scopes], prefix, exp }
  return {
    token: TOKEN_PREFIX + (await seal(signingSecrets, 'token', claims)),
    expiresAt: new Date(exp * 1000),
  }
}

/** Returns the principal of a token from `mintToken`. Accepts one that expired up to `graceSeconds` ago. */
export async function verifyToken(
  token: string,
  { signingSecrets }: SigningSettings,
  now: Date,
  graceSeconds = 0,
): Promise<Verdict> {
  if (!looksLikeToken(token)) return refuse('token malformed')
  const text = token.slice(TOKEN_PREFIX.length)
  const sealed = await unseal(signingSecrets, 'token', text, now, graceSeconds)
  if (!sealed.ok) return refuse(`token ${sealed.failure}`, loggable(sealed.kid))
  const claims = claimsSchema.safeParse(sealed.claims)
  if (!claims.success) return refuse('token claims unusable')
  const { sub, scopes, prefix, exp } = claims.data
  return { ok: true, principal: { id: sub, scopes, prefix, expiresAt: exp * 1000 } }
}
