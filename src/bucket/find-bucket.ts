import { ApiError } from '../errors/api-error.ts'
import type { ConfiguredBucket } from './bucket.ts'

/** Returns the bucket with this alias, by default the first one. Throws `unknown_bucket`. */
export function findBucket<B extends ConfiguredBucket>(
  { buckets }: { readonly buckets: readonly [B, ...B[]] },
  alias: string | undefined,
): B {
  if (alias === undefined) return buckets[0]
  const bucket = buckets.find((candidate) => candidate.alias === alias)
  if (bucket === undefined)
    throw new ApiError('unknown_bucket', `No bucket has the alias ${JSON.stringify(alias)}.`)
  return bucket
}
