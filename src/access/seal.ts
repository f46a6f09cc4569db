import type * as z from 'zod/mini'
import { ApiError } from '../errors/api-error.ts'
import { base64url, fromBase64url, fromUtf8, utf8 } from '../keys/encodings.ts'
import { encryptionKey, isSignature, type Purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'

/** The content of a seal: JSON. `exp` is its expiry in seconds since 1970, if it has one. */
export type Claims = Readonly<Record<string, unknown>>

type SigningSecrets = SigningSettings['signingSecrets']

/**
 * Returns `claims` as a JWS (RFC 7515, compact, HS256), signed with the first secret's key for
 * `purpose`. The holder can read it, but can't change it or use it for another purpose.
 */
export async function seal(
  secrets: SigningSecrets,
  purpose: Purpose,
  claims: Claims,
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
  | { readonly ok: true; readonly claims: Claims; readonly secret: SigningSecret }
  | {
      readonly ok: false
      readonly failure: 'malformed' | 'secret unknown' | 'signature wrong' | 'expired'
      /** Name of the secret that it claims to be signed with. */
      readonly kid: unknown
    }

/**
 * Opens what was sealed for `purpose`. Accepts only the exact text from `seal`. Reports `expired` only
 * if the signature is valid and `exp` is at least `graceSeconds` ago.
 */
export async function unseal(
  secrets: SigningSecrets,
  purpose: Purpose,
  sealed: string,
  now: Date,
  graceSeconds = 0,
): Promise<Unsealed> {
  const [header = '', body = '', signature = '', ...others] = sealed.split('.')
  const { kid } = membersOf(header) ?? {}
  const fails = (failure: (Unsealed & { ok: false })['failure']) =>
    ({ ok: false, failure, kid }) as const
  if (others.length > 0 || !isSignature(signature)) return fails('malformed')
  const secret = secrets.find((candidate) => candidate.kid === kid)
  if (secret === undefined) return fails('secret unknown')
  const key = await purposeKey(secret, purpose)
  const signed = utf8(`${header}.${body}`)
  if (!(await crypto.subtle.verify('HMAC', key, fromBase64url(signature), signed)))
    return fails('signature wrong')
  const claims = membersOf(body)
  if (claims === null) return fails('malformed')
  const { exp = Infinity } = claims
  const isValid = typeof exp === 'number' && exp > Math.floor(now.getTime() / 1000) - graceSeconds
  return isValid ? { ok: true, claims, secret } : fails('expired')
}

/** Returns the JSON object in a part of a JWS, or null. */
export function membersOf(part: string): Claims | null {
  try {
    const value: unknown = JSON.parse(fromUtf8(fromBase64url(part)))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : null
  } catch {
    return null
  }
}

/**
 * Returns what `sealed` holds for `purpose`, without its expiry. Throws `forbidden` unless it is valid and
 * fits `schema`.
 */
export async function unsealAs<Schema extends z.ZodMiniType>(
  secrets: SigningSecrets,
  purpose: Purpose,
  schema: Schema,
  sealed: string,
  now: Date,
): Promise<z.output<Schema>> {
  const unsealed = await unseal(secrets, purpose, sealed, now)
  if (unsealed.ok) {
    const { exp: _, ...given } = unsealed.claims
    const claims = schema.safeParse(given)
    if (claims.success) return claims.data
  }
  throw new ApiError('forbidden', 'This URL or form is invalid or has expired. Request a new one.')
}

const IV_BYTES = 12

/**
 * Encrypts the part of a seal that its holder must not read, with AES-GCM. To decrypt it, the same
 * `bound` is needed. The initialization vector comes first.
 */
export async function encrypt(secret: SigningSecret, bound: string, text: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const key = await encryptionKey(secret)
  const sealed = await crypto.subtle.encrypt(aesGcm(iv, bound), key, utf8(text))
  return base64url(new Uint8Array([...iv, ...new Uint8Array(sealed)]))
}

/** Decrypts what `encrypt` returned for the same `bound`. Throws for everything else. */
export async function decrypt(secret: SigningSecret, bound: string, text: string): Promise<string> {
  const bytes = fromBase64url(text)
  const algorithm = aesGcm(bytes.subarray(0, IV_BYTES), bound)
  const key = await encryptionKey(secret)
  return fromUtf8(await crypto.subtle.decrypt(algorithm, key, bytes.subarray(IV_BYTES)))
}

const aesGcm = (iv: Uint8Array, bound: string) => ({
  name: 'AES-GCM',
  iv,
  additionalData: utf8(bound),
})
