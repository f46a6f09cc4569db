import type { ConfiguredBucket } from './bucket.ts'

/** Each bucket with the access keys of its walk, always the same object, since keys derived for signing belong to it. */
const walkers = new WeakMap<ConfiguredBucket, ConfiguredBucket>()

/** Returns `bucket` with `upkeepCredentials` for everything, or the same one without them. */
export function withWalkingKeys(bucket: ConfiguredBucket): ConfiguredBucket {
  const { upkeepCredentials: own } = bucket
  if (own === undefined) return bucket
  const walker = walkers.get(bucket) ?? { ...bucket, credentials: own, uploadCredentials: own }
  walkers.set(bucket, walker)
  return walker
}
