import { mayUse, narrowBucket } from '../access/limits.ts'
import type { Bucket, ConfiguredBucket } from '../bucket/bucket.ts'
import { isOpen, openBucket } from '../bucket/credential-source.ts'
import { findBucket } from '../bucket/find-bucket.ts'
import { requireSpelling } from '../bucket/key-spelling.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext } from './app-env.ts'
import { timeOf } from './deadline.ts'

/**
 * Returns the bucket that the request names, or the principal's default one, with the principal's
 * own limits if they are narrower. Stores it for the log. `key` is the key, or the start of keys,
 * or null for none or a list.
 */
export function chooseBucket(
  c: AppContext,
  alias: string | undefined,
  key: string | null,
): ConfiguredBucket {
  const { limits } = c.get('principal')
  const wanted = alias ?? limits.buckets?.[0]
  // Before it is clear whether there is such a bucket, so that nobody can find out which ones exist.
  if (wanted === undefined ? limits.buckets !== null : !mayUse(limits, wanted))
    throw new ApiError('forbidden', 'You may not use this bucket.')
  const bucket = signedBucket(c, wanted)
  if (key !== null) requireSpelling(bucket, key)
  return narrowBucket(bucket, limits)
}

/** Returns the bucket that the request names, with its credentials. No promise if these are values. */
export const chooseOpenBucket = (
  c: AppContext,
  alias: string | undefined,
  key: string | null,
): Bucket | Promise<Bucket> => withCredentials(c, chooseBucket(c, alias, key))

/** Returns `bucket` with its credentials. Call it after the body was read. */
export const withCredentials = (
  c: AppContext,
  bucket: ConfiguredBucket,
): Bucket | Promise<Bucket> =>
  isOpen(bucket) ? bucket : openBucket(bucket, timeOf(c), c.executionCtx)

/** Returns the bucket that a link's signature names, and stores it for the log. Throws `unknown_bucket`. */
export function signedBucket(c: AppContext, alias: string | undefined): ConfiguredBucket {
  const bucket = findBucket(c.get('settings'), alias)
  c.set('bucket', bucket.alias)
  return bucket
}
