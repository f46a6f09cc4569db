import type { Bucket } from '../bucket/bucket.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import type { AppContext } from './app-env.ts'

/**
 * The bucket that the request names, or the default one; the log learns of it. `key` is the key, or
 * the start of keys, that the request names; null where it names none, or a list. Throws
 * `unknown_bucket`, and `invalid_key` for a key that this bucket doesn't take.
 */
export function chooseBucket(c: AppContext, alias: string | undefined, key: string | null): Bucket {
  const bucket = findBucket(c.get('settings'), alias)
  c.set('bucket', bucket.alias)
  if (key !== null) requireSpelling(bucket, key)
  return bucket
}
