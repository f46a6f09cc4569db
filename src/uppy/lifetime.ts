import type { Bucket } from '../bucket/bucket.ts'
import { longestLifetime } from '../signing/expiry.ts'

/** What Companion allows an upload: Uppy 5 takes it for the time that one request may last. */
const COMPANION_SECONDS = 800

/**
 * Lifetime of a signature for Uppy in seconds: Companion's, or the bucket's default for uploads where
 * that is longer, if the bucket allows it. Throws `credentials_expired`.
 */
export function companionLife(bucket: Bucket, now: Date): number {
  const credentials = bucket.uploadCredentials
  return Math.min(
    Math.max(COMPANION_SECONDS, bucket.defaultExpiresIn.upload),
    longestLifetime({ use: 'upload', bucket, credentials, now }),
  )
}
