import type { Bucket } from '../bucket/bucket.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { openObject } from './open-object.ts'
import { relay } from './pump.ts'

/** Where links get the bytes of objects from. */
export interface ObjectSource {
  /** Whether copies are kept, which a delete must drop. */
  readonly keepsCopies: boolean
  /**
   * The object, or one range of it, as `openObject` answers: 200, 206 or 416. Nothing of the client's
   * own request reaches the bucket. Throws what `openObject` throws.
   */
  open(
    method: 'GET' | 'HEAD',
    bucket: Bucket,
    key: ObjectKey,
    range: string | null,
  ): Promise<Response>
  /**
   * Drops every copy of an object. Throws `purge_failed`; a copy then lives for the bucket's
   * `edgeTtl` at most.
   */
  purge(bucket: Bucket, key: ObjectKey): Promise<void>
}

/** The buckets themselves, each time that someone asks. */
export const directObjects: ObjectSource = {
  keepsCopies: false,
  async open(method, bucket, key, range) {
    return relay(await openObject(bucket, key, method, range, new Date(), 0))[0]
  },
  async purge() {},
}
