import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { type Purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret } from './settings.ts'

type SigningSecrets = readonly [SigningSecret, ...SigningSecret[]]

/**
 * `claims` as a JWS (RFC 7515, compact, HS256) under the first secret's key for `purpose`: the
 * holder can read it, but not change it, nor use it for another purpose.
 */
export async function seal(
  secrets: SigningSecrets,
  purpose: Purpose,
  claims: JWTPayload,
): Promise<string> {
  const [secret] = secrets
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', kid: secret.kid })
    .sign(await purposeKey(secret, purpose))
}

/** What a seal held and the secret that it was made with, or why it can't be opened. */
export type Unsealed =
  | { readonly ok: true; readonly claims: JWTPayload; readonly secret: SigningSecret }
  | {
      readonly ok: false
      readonly fault: 'malformed' | 'secret unknown' | 'signature wrong' | 'expired'
      /** Name of the secret that it claims to be made with. */
      readonly kid: unknown
    }

/**
 * Opens what was sealed for `purpose`. A seal counts as expired only if its signature is right, and
 * if its `exp` was `graceSeconds` ago or more.
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
    return { ok: false, fault: FAULTS[error.code] ?? 'signature wrong', kid: claimed }
  }
  return { ok: false, fault: 'secret unknown', kid: claimed }
}

const FAULTS: Readonly<Record<string, (Unsealed & { ok: false })['fault']>> = {
  [errors.JWSInvalid.code]: 'malformed',
  [errors.JWTInvalid.code]: 'malformed',
  [errors.JWKSNoMatchingKey.code]: 'secret unknown',
  [errors.JWTExpired.code]: 'expired',
}
