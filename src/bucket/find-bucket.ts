import { ApiError } from '../errors/api-error.ts'
import type { Bucket } from './bucket.ts'

/**
 * Returns the bucket with this alias, or the default one without an alias. Throws `unknown_bucket`.
 */
export function findBucket(
  { buckets }: { readonly buckets: readonly [Bucket, ...Bucket[]] },
  alias: string | undefined,
): Bucket {
  if (alias === undefined) return buckets[0]
  const bucket = buckets.find((candidate) => candidate.alias === alias)
  if (bucket === undefined)
    throw new ApiError('unknown_bucket', `No bucket has the alias ${JSON.stringify(alias)}.`)
  return bucket
}
