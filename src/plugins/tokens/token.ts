import * as z from 'zod/mini'
import { type AskedLimits, narrowLimits } from '../../access/limits.ts'
import { type Minters, stillGranted } from '../../access/minter.ts'
import {
  idOfSubject,
  isContext,
  MAX_CONTEXT_BYTES,
  maySetContext,
  type Principal,
  requirePrefix,
  requireScope,
} from '../../access/principal.ts'
import { purpose } from '../../access/purpose-key.ts'
import { SCOPES, type Scope } from '../../access/scopes.ts'
import { seal, unseal } from '../../access/seal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { loggable, refuse, type Verdict } from '../../access/verdict.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import type { Json } from '../../keys/encodings.ts'
import { keyPrefixError } from '../../keys/object-key.ts'

const TOKEN = purpose('token')

export const TOKEN_PREFIX = 'ept_'
const DEFAULT_SECONDS = 600
const MAX_SECONDS = 3600
/** Longer, since a large file may take hours. Such a token can't read or delete files. */
const MAX_UPLOAD_ONLY_SECONDS = 86_400
const UPLOAD_ONLY_HINT = ` A token with only files:upload may be valid for up to ${MAX_UPLOAD_ONLY_SECONDS}.`

/** So that a token fits into a path, a header and a cookie. */
const MAX_TOKEN_LENGTH = 4096

/** Strict, so that this version refuses a token with a limit that a later one adds. */
const claimsSchema = z.strictObject({
  id: z.string().check(z.minLength(1)),
  scopes: z.array(z.enum(SCOPES)),
  prefix: z.string(),
  exp: z.int(),
  buckets: z.optional(z.array(z.string())),
  maxBytes: z.optional(z.int()),
  allowedTypes: z.optional(z.array(z.string())),
  maxExpiresIn: z.optional(z.int()),
  context: z.optional(z.custom<Json>()),
})

export interface TokenRequest extends AskedLimits {
  readonly scopes: readonly Scope[]
  /** Default: the caller's own prefix. */
  readonly prefix?: string | undefined
  /** 1 to 3600 seconds, or to 86400 with only `files:upload`. Default: 10 minutes. */
  readonly expiresIn?: number | undefined
  /** The app's id of the user. The token has its own principal then. */
  readonly subject?: string | undefined
  /** Any JSON of up to 1 KB, which comes back in events. Null is the same as nothing. */
  readonly context?: unknown
}

/** What tokens depend on. */
export type TokenSettings = SigningSettings &
  Minters & { readonly buckets: readonly [ConfiguredBucket, ...ConfiguredBucket[]] }

/**
 * Returns a short-lived token with some of the caller's permissions. Throws `forbidden` if it
 * exceeds the caller's scopes, prefix or limits, or has a subject or context that the caller may not
 * set. Throws `invalid_expiry` if it would expire after the caller's own credentials. The default lifetime is
 * shortened to theirs. Throws `invalid_request` for a token that is too long.
 */
export async function mintToken(
  caller: Principal,
  { scopes, prefix = caller.prefix, expiresIn, subject, ...asked }: TokenRequest,
  settings: Pick<TokenSettings, 'signingSecrets' | 'buckets'>,
  now: Date,
): Promise<{ readonly token: string; readonly expiresAt: Date }> {
  const prefixError = keyPrefixError(prefix)
  if (prefixError !== null) throw new ApiError('invalid_key', prefixError)
  requirePrefix(caller, prefix)
  for (const scope of scopes) requireScope(caller, scope)
  const id = subject === undefined ? caller.id : idOfSubject(caller, subject)
  const limits = narrowLimits(caller.limits, asked, settings)
  const context = readContext(asked.context) ?? caller.context
  if (!maySetContext(caller) && JSON.stringify(context) !== JSON.stringify(caller.context))
    throw new ApiError(
      'forbidden',
      'Only an API key or the app can set the context of a token, once.',
    )

  const nowSeconds = Math.floor(now.getTime() / 1000)
  const isUploadOnly = scopes.every((scope) => scope === 'files:upload')
  const longest = isUploadOnly ? MAX_UPLOAD_ONLY_SECONDS : MAX_SECONDS
  const max = Math.min(longest, Math.floor(caller.expiresAt / 1000) - nowSeconds)
  const lifetime = expiresIn ?? Math.min(DEFAULT_SECONDS, max)
  if (lifetime < 1 || lifetime > max)
    throw new ApiError(
      'invalid_expiry',
      `expiresIn must be 1 to ${max} seconds.${max === MAX_SECONDS ? UPLOAD_ONLY_HINT : ''}`,
    )

  const exp = nowSeconds + lifetime
  const claims = { id, scopes, prefix, exp, ...withoutNulls({ ...limits, context }) }
  const token = TOKEN_PREFIX + (await seal(settings.signingSecrets, TOKEN, claims))
  if (token.length > MAX_TOKEN_LENGTH)
    throw new ApiError(
      'invalid_request',
      `The token would have more than ${MAX_TOKEN_LENGTH} characters. Shorten its prefix, buckets, allowedTypes or context.`,
    )
  return { token, expiresAt: new Date(exp * 1000) }
}

/** Returns the context of a request, and null without one. Throws `invalid_request` above 1 KB. */
function readContext(context: unknown = null): Json {
  if (isContext(context)) return context
  throw invalidMember('context', `must be at most ${MAX_CONTEXT_BYTES} bytes of JSON`)
}

const withoutNulls = (claims: object): object =>
  Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null))

/**
 * Returns the principal of a token from `mintToken`, with the rights that the credential behind it
 * still has. Accepts a token that expired up to `graceSeconds` ago.
 */
export async function verifyToken(
  token: string,
  settings: Omit<TokenSettings, 'buckets'>,
  now: Date,
  graceSeconds = 0,
): Promise<Verdict> {
  if (!token.startsWith(TOKEN_PREFIX)) return refuse('token malformed')
  const text = token.slice(TOKEN_PREFIX.length)
  const sealed = await unseal(settings.signingSecrets, TOKEN, text, now, graceSeconds)
  if (!sealed.ok) return refuse(`token ${sealed.failure}`, loggable(sealed.kid))
  const claims = claimsSchema.safeParse(sealed.claims)
  if (!claims.success) return refuse('token claims unusable')
  const { id, scopes, prefix, exp, context = null } = claims.data
  const { buckets = null, maxBytes = null, allowedTypes = null, maxExpiresIn = null } = claims.data
  const limits = { buckets, maxBytes, allowedTypes, maxExpiresIn }
  const expiresAt = exp * 1000
  return stillGranted({ kind: 'token', id, scopes, prefix, expiresAt, limits, context }, settings)
}
