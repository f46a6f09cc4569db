import type { Credentials } from '../config/load.ts'

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

/** SigV4 signing keys of this isolate, by secret, day, region and service: aws4fetch reads and fills it. */
export const derivedKeys: Map<string, ArrayBuffer> = new BoundedMap()

/** The signing key that aws4fetch has left there for S3 on the day of `datetime`. Throws Error if it has not. */
export function derivedKey(
  { secretAccessKey }: Credentials,
  datetime: string,
  region: string,
): ArrayBuffer {
  const key = derivedKeys.get([secretAccessKey, datetime.slice(0, 8), region, 's3'].join())
  if (key === undefined)
    throw new Error('aws4fetch keeps its signing keys elsewhere than expected.')
  return key
}
