import type { SigningSecret } from '../config/load.ts'

/** What a signature of ours is for. A signature for one purpose never verifies for another. */
export type Purpose = 'token' | 'cursor' | 'link' | 'upload'

const encoder = new TextEncoder()
const derived = new WeakMap<SigningSecret, Map<Purpose, Promise<CryptoKey>>>()

/**
 * The HMAC-SHA-256 key of one purpose, derived from `secret` by HKDF (RFC 5869) once an isolate.
 */
export function purposeKey(secret: SigningSecret, purpose: Purpose): Promise<CryptoKey> {
  const ofSecret = derived.get(secret) ?? new Map<Purpose, Promise<CryptoKey>>()
  derived.set(secret, ofSecret)
  const key = ofSecret.get(purpose) ?? deriveKey(secret, purpose)
  ofSecret.set(purpose, key)
  return key
}

async function deriveKey({ secret }: SigningSecret, purpose: Purpose): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey('raw', encoder.encode(secret), 'HKDF', false, [
    'deriveKey',
  ])
  return crypto.subtle.deriveKey(
    {
      name: 'HKDF',
      hash: 'SHA-256',
      salt: new Uint8Array(),
      info: encoder.encode(`edge-presigner/v1/${purpose}`),
    },
    material,
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign', 'verify'],
  )
}
