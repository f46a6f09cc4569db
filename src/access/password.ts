import { base64url, fromBase64url, utf8 } from '../keys/encodings.ts'
import { purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'

/** What is kept of a password. Without the signing secret, nobody can try passwords with it. */
export interface PasswordHash {
  /** Name of the signing secret. */
  readonly kid: string
  /** 128 random bits in base64url. */
  readonly salt: string
  /** HMAC-SHA-256 in base64url. */
  readonly hash: string
}

/** Returns what to keep of `password`. */
export async function hashPassword(
  { signingSecrets }: SigningSettings,
  password: string,
): Promise<PasswordHash> {
  const [secret] = signingSecrets
  const salt = base64url(crypto.getRandomValues(new Uint8Array(16)))
  return { kid: secret.kid, salt, hash: await hashWith(secret, salt, password) }
}

/** Returns the hash of a guess, or null if the secret of the password is no longer configured. */
export async function hashGuess(
  { signingSecrets }: SigningSettings,
  { kid, salt }: Pick<PasswordHash, 'kid' | 'salt'>,
  password: string,
): Promise<string | null> {
  const secret = signingSecrets.find((one) => one.kid === kid)
  return secret === undefined ? null : hashWith(secret, salt, password)
}

/** People type one password in several Unicode forms. */
async function hashWith(secret: SigningSecret, salt: string, password: string): Promise<string> {
  const key = await purposeKey(secret, purpose('password'))
  const text = [...fromBase64url(salt), ...utf8(password.normalize('NFC'))]
  return base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, Uint8Array.from(text))))
}
