import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'

/**
 * Returns when a link expires, in seconds since 1970: after one to two lifetimes, at the end of a
 * window, so that all requests within it get the same link. Throws `invalid_expiry`.
 */
export function linkExpiry(
  bucket: ConfiguredBucket,
  expiresIn: number | undefined,
  now: Date,
): number {
  const max = Math.floor(bucket.maxExpiresIn.link / 2)
  const lifetime = expiresIn ?? Math.min(bucket.defaultExpiresIn.link, max)
  if (lifetime < 1 || lifetime > max)
    throw new ApiError('invalid_expiry', `expiresIn must be from 1 to ${max} seconds for a link.`)
  return (Math.floor(now.getTime() / 1000 / lifetime) + 2) * lifetime
}

/** Maximum length of a name to save a file under, in UTF-16 code units. */
export const MAX_LINK_NAME_LENGTH = 255
