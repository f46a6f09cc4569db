import type { Bucket } from '../bucket/bucket.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import type { AppContext } from './app-env.ts'

/**
 * Returns the bucket that the request names, or the default one, and stores it for the log. `key`
 * is the key, or the start of keys, in the request. It is null for no key or a list. Throws
 * `unknown_bucket`, and `invalid_key` for a key that this bucket doesn't accept.
 */
export function chooseBucket(c: AppContext, alias: string | undefined, key: string | null): Bucket {
  const bucket = findBucket(c.get('settings'), alias)
  c.set('bucket', bucket.alias)
  if (key !== null) requireSpelling(bucket, key)
  return bucket
}
