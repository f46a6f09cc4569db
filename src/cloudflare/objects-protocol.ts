import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { copiesOf } from '../delivery/open-object.ts'
import { uriEncode } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/** The header that repeats `Range`, since Workers Caching removes that from its requests. */
export const WANTED_RANGE = 'X-Wanted-Range'

/** The headers with the id and the deadline of the request that asks, for the log and the bucket. */
export const ASKER = 'X-Asker'
export const DEADLINE = 'X-Deadline'

/**
 * The header that contains an error as percent-encoded JSON, since the response to a HEAD has no
 * body.
 */
export const FAILURE = 'X-Failure'

/** Returns the name of an object's copy: the URL for `Objects`, without its query. */
export const copyUrl = async (bucket: ConfiguredBucket, key: ObjectKey): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}`
