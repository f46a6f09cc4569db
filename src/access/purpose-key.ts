import { utf8 } from '../keys/encodings.ts'
import type { SigningSecret } from './settings.ts'

/** What a signature is for. A signature for one purpose never verifies for another. */
export type Purpose = 'token' | 'cursor' | 'link' | 'upload'

/** The purpose of the one key that encrypts. */
const ENCRYPTION = 'upload-encryption'

const derived = new WeakMap<SigningSecret, Map<string, Promise<CryptoKey>>>()

/**
 * The HMAC-SHA-256 key of one purpose and one instance, derived from `secret` by HKDF (RFC 5869)
 * once an isolate.
 */
export const purposeKey = (secret: SigningSecret, purpose: Purpose): Promise<CryptoKey> =>
  keyFor(secret, purpose)

/** The AES-GCM key for what an upload id holds and its holder must not read. */
export const encryptionKey = (secret: SigningSecret): Promise<CryptoKey> =>
  keyFor(secret, ENCRYPTION)

function keyFor(secret: SigningSecret, purpose: string): Promise<CryptoKey> {
  const ofSecret = derived.get(secret) ?? new Map<string, Promise<CryptoKey>>()
  derived.set(secret, ofSecret)
  const key = ofSecret.get(purpose) ?? deriveKey(secret, purpose)
  ofSecret.set(purpose, key)
  return key
}

/**
 * HKDF's `info`: without a name, what it was before instances had names. Neither a purpose nor a
 * name has a slash, so no two of them come to the same text.
 */
const infoOf = ({ name }: SigningSecret, purpose: string): string =>
  `edge-presigner/v1/${purpose}${name === '' ? '' : `/${name}`}`

async function deriveKey(signingSecret: SigningSecret, purpose: string): Promise<CryptoKey> {
  const { secret } = signingSecret
  const material = await crypto.subtle.importKey('raw', utf8(secret), 'HKDF', false, ['deriveKey'])
  const encrypts = purpose === ENCRYPTION
  return crypto.subtle.deriveKey(
    {
      name: 'HKDF',
      hash: 'SHA-256',
      salt: new Uint8Array(),
      info: utf8(infoOf(signingSecret, purpose)),
    },
    material,
    encrypts ? { name: 'AES-GCM', length: 256 } : { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    encrypts ? ['encrypt', 'decrypt'] : ['sign', 'verify'],
  )
}
