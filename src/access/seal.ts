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

/** What a seal held, and the secret that it was made with. */
export interface Unsealed {
  readonly claims: JWTPayload
  readonly secret: SigningSecret
}

/**
 * What `sealed` holds, or null where it was not sealed for `purpose`, was changed, or is past its
 * `exp` by `graceSeconds` or more.
 */
export async function unseal(
  secrets: SigningSecrets,
  purpose: Purpose,
  sealed: string,
  now: Date,
  graceSeconds = 0,
): Promise<Unsealed | null> {
  let secret: SigningSecret | undefined
  try {
    const { payload } = await jwtVerify(
      sealed,
      ({ kid }) => {
        secret = secrets.find((candidate) => candidate.kid === kid)
        if (secret === undefined) throw new errors.JWKSNoMatchingKey()
        return purposeKey(secret, purpose)
      },
      { algorithms: ['HS256'], currentDate: now, clockTolerance: graceSeconds },
    )
    return secret === undefined ? null : { claims: payload, secret }
  } catch (error) {
    if (error instanceof errors.JOSEError) return null
    throw error
  }
}
