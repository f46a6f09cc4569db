import type { ConfiguredBucket } from '../bucket/bucket.ts'
import type { VariantSpec } from '../bucket/image-size.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/** The request that asks for an object. */
export interface Asker {
  readonly now: Date
  /** For the log of a delivery that the bucket cuts. */
  readonly requestId: string
}

/** A request for an object, one range of it, or a variant. */
export interface ObjectRequest {
  readonly method: 'GET' | 'HEAD'
  readonly bucket: ConfiguredBucket
  readonly key: ObjectKey
  readonly range: string | null
  readonly variant: VariantSpec | null
  readonly asker: Asker
}

/** The source of object bytes for links. */
export interface ObjectSource {
  /** Whether it keeps copies, which a delete must purge. */
  readonly keepsCopies: boolean
  /** Whether it can show resized images. */
  readonly resizesImages?: boolean
  /**
   * Returns the object or a variant of it, or one range, like `openObject`: 200, 206 or 416. The
   * client's own request never reaches the bucket. Ask for a variant only if `keepsCopiesOf` the
   * bucket. Throws what `openObject` and `resize` throw.
   */
  open(request: ObjectRequest): Promise<Response>
  /** Purges at most 100 objects' copies. Throws `unavailable`: they stay up to `copySeconds`. */
  purge(bucket: ConfiguredBucket, keys: readonly ObjectKey[]): Promise<void>
}
