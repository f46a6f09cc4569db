const MAX_DERIVED_KEYS = 64

class BoundedMap extends Map<string, ArrayBuffer> {
  override set(name: string, key: ArrayBuffer): this {
    if (this.size >= MAX_DERIVED_KEYS) this.clear()
    return super.set(name, key)
  }
}

/** SigV4 signing keys of this isolate, by secret, day, region and service: aws4fetch reads and fills it. */
export const derivedKeys: Map<string, ArrayBuffer> = new BoundedMap()
