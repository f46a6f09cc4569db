import { ApiError } from '../errors/api-error.ts'
import type { Bucket } from './bucket.ts'
import type { Config } from './settings.ts'

/** The bucket of `alias`, or the default one without an alias. Throws `unknown_bucket`. */
export function findBucket({ buckets }: Config, alias: string | undefined): Bucket {
  if (alias === undefined) return buckets[0]
  const bucket = buckets.find((candidate) => candidate.alias === alias)
  if (bucket === undefined) throw new ApiError('unknown_bucket', 'No bucket has this alias.')
  return bucket
}
