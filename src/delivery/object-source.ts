import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { contentCodings } from './content-coding.ts'
import { openObject } from './open-object.ts'
import { ON_WORKERS, relay } from './pump.ts'

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
   * Drops every copy of an object. Throws `purge_failed`; a copy then stays for the bucket's
   * `edgeTtl` at most.
   */
  purge(bucket: Bucket, key: ObjectKey): Promise<void>
}

/**
 * Whether `fetch` hands on bytes as they are stored. That of Node, Deno and Bun decodes what says that
 * it is encoded.
 */
const FETCH_KEEPS_CODINGS = ON_WORKERS

/**
 * The buckets themselves, each time that someone asks. Throws `not_supported` for an object that is
 * stored encoded, where `fetch` would decode it, however large that makes it.
 */
export const directObjects: ObjectSource = {
  keepsCopies: false,
  async open(method, bucket, key, range) {
    const opened = await openObject(bucket, key, method, range, new Date(), 0)
    if (!FETCH_KEEPS_CODINGS && contentCodings(opened.headers.get('content-encoding')).length > 0) {
      await opened.body?.cancel()
      throw new ApiError(
        'not_supported',
        'This object is stored encoded, which links can\'t deliver here. Use a download URL, or a link with delivery "redirect".',
      )
    }
    return relay(opened)[0]
  },
  async purge() {},
}
