import { utf8 } from '../keys/encodings.ts'
import type { SigningSecret } from './settings.ts'

declare const isPurpose: unique symbol

/** What a signature is for. A signature for one purpose never verifies for another. */
export type Purpose = string & { readonly [isPurpose]: true }

/**
 * Returns a purpose by its name, without a slash. Each one is declared in one place, next to what it signs. It
 * is part of links, tokens and the like, so it never changes.
 */
export const purpose = (name: string): Purpose => name as Purpose

/** Deriving a key takes longer than a signature. Without an instance's settings, its keys are gone too. */
const derived = new WeakMap<SigningSecret, Map<string, Promise<CryptoKey>>>()

/** Returns the HMAC-SHA-256 key of one purpose and one instance, derived by HKDF (RFC 5869). */
export const purposeKey = (secret: SigningSecret, purpose: Purpose): Promise<CryptoKey> =>
  keyFor(secret, purpose, { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign', 'verify'])

/**
 * Tells whether `text` is a signature in base64url, in its only spelling: 32 bytes without padding.
 * The last character has four used bits, and its other bits are zero.
 */
export const isSignature = (text: string): boolean => /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(text)

/** Returns the AES-GCM key for the part of a seal that its holder must not read. */
export const encryptionKey = (secret: SigningSecret): Promise<CryptoKey> =>
  keyFor(secret, purpose('upload-encryption'), { name: 'AES-GCM', length: 256 }, [
    'encrypt',
    'decrypt',
  ])

function keyFor(
  secret: SigningSecret,
  purpose: Purpose,
  algorithm: Parameters<SubtleCrypto['deriveKey']>[2],
  usages: ('sign' | 'verify' | 'encrypt' | 'decrypt')[],
): Promise<CryptoKey> {
  const ofSecret = derived.get(secret) ?? new Map<string, Promise<CryptoKey>>()
  derived.set(secret, ofSecret)
  const key = ofSecret.get(purpose) ?? deriveKey(secret, purpose, algorithm, usages)
  ofSecret.set(purpose, key)
  return key
}

async function deriveKey(
  { name, secret }: SigningSecret,
  purpose: Purpose,
  algorithm: Parameters<SubtleCrypto['deriveKey']>[2],
  usages: ('sign' | 'verify' | 'encrypt' | 'decrypt')[],
): Promise<CryptoKey> {
  // Neither a purpose nor a name contains a slash, so each combination has its own text.
  const info = `edge-presigner/v1/${purpose}${name === '' ? '' : `/${name}`}`
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8(info) },
    await crypto.subtle.importKey('raw', utf8(secret), 'HKDF', false, ['deriveKey']),
    algorithm,
    false,
    usages,
  )
}
