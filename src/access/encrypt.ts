import { base64url, fromBase64url, fromUtf8, utf8 } from '../keys/encodings.ts'
import { encryptionKey } from './purpose-key.ts'
import type { SigningSecret } from './settings.ts'

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
