import { type JWTPayload, jwtVerify } from 'jose'
import * as errors from 'jose/errors'
import type * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { base64url, utf8 } from '../keys/encodings.ts'
import { isSignature, type Purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret } from './settings.ts'

type SigningSecrets = readonly [SigningSecret, ...SigningSecret[]]

/**
 * Returns `claims` as a JWS (RFC 7515, compact, HS256), signed with the first secret's key for
 * `purpose`. The holder can read it, but can't change it or use it for another purpose.
 */
export async function seal(
  secrets: SigningSecrets,
  purpose: Purpose,
  claims: JWTPayload,
): Promise<string> {
  const [secret] = secrets
  const signed = [{ alg: 'HS256', kid: secret.kid }, claims]
    .map((part) => base64url(utf8(JSON.stringify(part))))
    .join('.')
  const key = await purposeKey(secret, purpose)
  const signature = await crypto.subtle.sign('HMAC', key, utf8(signed))
  return `${signed}.${base64url(new Uint8Array(signature))}`
}

/** The claims of a seal and the secret that signed it, or why it is invalid. */
export type Unsealed =
  | { readonly ok: true; readonly claims: JWTPayload; readonly secret: SigningSecret }
  | {
      readonly ok: false
      readonly failure: 'malformed' | 'secret unknown' | 'signature wrong' | 'expired'
      /** Name of the secret that it claims to be signed with. */
      readonly kid: unknown
    }

/**
 * Opens what was sealed for `purpose`. Accepts only the exact text from `seal`: the signature covers
 * its other parts as text, and jose would accept other spellings of the signature. Reports `expired`
 * only if the signature is valid and `exp` is at least `graceSeconds` ago.
 */
export async function unseal(
  secrets: SigningSecrets,
  purpose: Purpose,
  sealed: string,
  now: Date,
  graceSeconds = 0,
): Promise<Unsealed> {
  let secret: SigningSecret | undefined
  let claimed: unknown
  if (!isSignature(sealed.slice(sealed.lastIndexOf('.') + 1)))
    return { ok: false, failure: 'malformed', kid: undefined }
  try {
    const { payload } = await jwtVerify(
      sealed,
      ({ kid }) => {
        claimed = kid
        secret = secrets.find((candidate) => candidate.kid === kid)
        if (secret === undefined) throw new errors.JWKSNoMatchingKey()
        return purposeKey(secret, purpose)
      },
      { algorithms: ['HS256'], currentDate: now, clockTolerance: graceSeconds },
    )
    if (secret !== undefined) return { ok: true, claims: payload, secret }
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    return { ok: false, failure: FAILURES[error.code] ?? 'signature wrong', kid: claimed }
  }
  return { ok: false, failure: 'secret unknown', kid: claimed }
}

const FAILURES: Readonly<Record<string, (Unsealed & { ok: false })['failure']>> = {
  [errors.JWSInvalid.code]: 'malformed',
  [errors.JWTInvalid.code]: 'malformed',
  [errors.JWKSNoMatchingKey.code]: 'secret unknown',
  [errors.JWTExpired.code]: 'expired',
}

/** Returns what `sealed` holds for `purpose`. Throws `forbidden` unless it is valid and fits `schema`. */
export async function unsealAs<Schema extends z.ZodMiniType>(
  secrets: SigningSecrets,
  purpose: Purpose,
  schema: Schema,
  sealed: string,
  now: Date,
): Promise<z.output<Schema>> {
  const unsealed = await unseal(secrets, purpose, sealed, now)
  const claims = schema.safeParse(unsealed.ok && unsealed.claims)
  if (claims.success) return claims.data
  throw new ApiError('forbidden', 'This URL or form is invalid or has expired. Request a new one.')
}
