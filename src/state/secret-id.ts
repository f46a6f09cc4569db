import { purpose, purposeKey } from '../access/purpose-key.ts'
import type { SigningSettings } from '../access/settings.ts'
import { base64url, sha256, utf8 } from '../keys/encodings.ts'

/** 128 random bits in base64url. Whoever has them may use what they name. */
const SECRET_ID = /^[\w-]{21}[AQgw]$/

/** The id in the API, in events and in records: the first 128 bits of the SHA-256 of a secret id. */
const PUBLIC_ID = /^[0-9a-f]{32}$/

export const newSecretId = (): string => base64url(crypto.getRandomValues(new Uint8Array(16)))

/** Returns the public id, which is also the name of the Durable Object, or null for no secret id. */
export const publicIdOf = async (secretId: string): Promise<string | null> =>
  isSecretId(secretId) ? (await sha256(secretId)).slice(0, 32) : null

export const isSecretId = (text: string): boolean => SECRET_ID.test(text)

export const isPublicId = (text: string): boolean => PUBLIC_ID.test(text)

/**
 * Returns a name for a client's network that only this object knows, since addresses are not kept.
 * `id` is the public id. For a name that a rotation of the secrets must not change, pass the `kid` of one.
 */
export async function networkName(
  { signingSecrets }: SigningSettings,
  id: string,
  network: string,
  kid?: string,
): Promise<string> {
  const secret = signingSecrets.find((one) => one.kid === kid) ?? signingSecrets[0]
  const key = await purposeKey(secret, purpose('network'))
  const signature = await crypto.subtle.sign('HMAC', key, utf8(`${id} ${network}`))
  return base64url(new Uint8Array(signature).subarray(0, 12))
}
