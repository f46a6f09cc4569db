import type { AwsV4Signer } from 'aws4fetch'

const MAX_DERIVED_KEYS = 64

/** Keeps the newest keys: a day or a rotation of credentials leaves old ones behind. */
class BoundedMap extends Map<string, ArrayBuffer> {
  override set(name: string, key: ArrayBuffer): this {
    for (const oldest of this.keys()) {
      if (this.size < MAX_DERIVED_KEYS) break
      this.delete(oldest)
    }
    return super.set(name, key)
  }
}

/**
 * SigV4 signing keys of this isolate, by secret, day, region and service: aws4fetch reads and fills
 * it.
 */
export const derivedKeys: Map<string, ArrayBuffer> = new BoundedMap()

const imported = new WeakMap<ArrayBuffer, Promise<CryptoKey>>()

/** The signing key of `signer`, imported once. aws4fetch derives it. */
export async function signingKey(signer: AwsV4Signer): Promise<CryptoKey> {
  const { secretAccessKey, datetime, region, service } = signer
  const name = [secretAccessKey, datetime.slice(0, 8), region, service].join()
  if (!derivedKeys.has(name)) await signer.signature()
  const derived = derivedKeys.get(name)
  if (derived === undefined)
    throw new Error('aws4fetch keeps its signing keys elsewhere than expected.')
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key =
    imported.get(derived) ?? crypto.subtle.importKey('raw', derived, algorithm, false, ['sign'])
  imported.set(derived, key)
  return key
}
