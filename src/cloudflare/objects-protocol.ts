import type { Bucket } from '../bucket/bucket.ts'
import { copiesOf } from '../delivery/open-object.ts'
import { uriEncode } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/** The header that repeats `Range`, which Workers Caching takes away before it asks. */
export const WANTED_RANGE = 'X-Wanted-Range'

/** The header that holds an error as JSON, percent-encoded: the answer to a HEAD has no body. */
export const FAILURE = 'X-Failure'

/** Name of an object's copy, which is the URL that `Objects` is asked for, without its query. */
export const copyUrl = async (bucket: Bucket, key: ObjectKey): Promise<string> =>
  `https://objects.invalid/${await copiesOf(bucket)}/${uriEncode(key)}`
