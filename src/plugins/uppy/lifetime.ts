import type { Bucket } from '../../bucket/bucket.ts'
import { longestLifetime } from '../../signing/expiry.ts'

/** Companion's lifetime of an upload. Uppy 5 also uses it as the timeout of one request. */
const COMPANION_SECONDS = 800

/**
 * Returns the lifetime of a signature for Uppy in seconds: Companion's, or the bucket's upload
 * default if that is longer. The bucket's maximum still applies. Throws `credentials_expired`.
 */
export function companionLifetime(bucket: Bucket, now: Date): number {
  const credentials = bucket.uploadCredentials
  return Math.min(
    Math.max(COMPANION_SECONDS, bucket.defaultExpiresIn.upload),
    longestLifetime({ use: 'upload', bucket, credentials, now }),
  )
}
