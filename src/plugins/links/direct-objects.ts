import type { Background, ConfiguredBucket } from '../../bucket/bucket.ts'
import { openBucket } from '../../bucket/credential-source.ts'
import { relay } from '../../core/relay.ts'
import { ApiError } from '../../errors/api-error.ts'
import { ON_WORKERS } from '../../http/runtime.ts'
import type { ObjectSource } from '../../storage/object-source.ts'
import { contentCodings } from './content-coding.ts'
import { openObject } from './open-object.ts'

/** Tells whether objects have copies. Without them, each view of an image would be a call. */
export const keepsCopiesOf = (
  { edgeTtlSeconds }: ConfiguredBucket,
  { keepsCopies }: Pick<ObjectSource, 'keepsCopies'>,
): boolean => keepsCopies && edgeTtlSeconds > 0

/** Whether `fetch` returns bytes as they are stored. Node, Deno and Bun decode them. */
const FETCH_KEEPS_CODINGS = ON_WORKERS

/** Reads from the bucket. Throws `not_supported` if `fetch` would decode, without a size limit. */
export const directObjects = (background: Background): ObjectSource => ({
  keepsCopies: false,
  async open({ bucket, key, method, range, asker: { now, requestId } }) {
    const open = await openBucket(bucket, now, background)
    const opened = await openObject(open, key, { method, range, fillBytes: 0 }, now)
    if (!FETCH_KEEPS_CODINGS && contentCodings(opened.headers.get('content-encoding')).length > 0) {
      await opened.body?.cancel()
      throw new ApiError(
        'not_supported',
        'Links can\'t deliver an object with a Content-Encoding here. Use a download URL, or the delivery "redirect".',
      )
    }
    return relay(opened, { requestId, bucket: bucket.alias })[0]
  },
  async purge() {},
})
