import { type LinkPolicy, signLink } from '../access/link-signature.ts'
import type { SigningSettings } from '../access/settings.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/**
 * When a link ends, in seconds since 1970: at the end of a window that is as long as the lifetime
 * asked for, so that asking again within the window gives the same link. It is valid for one to
 * two such lifetimes. Throws `invalid_expiry`.
 */
export function linkExpiry(bucket: Bucket, expiresIn: number | undefined, now: Date): number {
  const max = Math.floor(bucket.maxExpiresIn.link / 2)
  const lifetime = expiresIn ?? Math.min(bucket.defaultExpiresIn.link, max)
  if (lifetime < 1 || lifetime > max)
    throw new ApiError('invalid_expiry', `expiresIn must be from 1 to ${max} seconds for a link.`)
  return (Math.floor(now.getTime() / 1000 / lifetime) + 2) * lifetime
}

/** A link as clients get it. */
export interface Link {
  readonly link: string
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Longest name to save a file under, in UTF-16 code units. */
export const MAX_LINK_NAME_LENGTH = 255

export interface LinkRequest extends Pick<LinkPolicy, 'delivery' | 'download'> {
  /** Seconds; undefined takes the bucket's default, a day unless set. */
  readonly expiresIn?: number | undefined
}

/** One link, and when it ends. Throws `invalid_expiry`. */
export async function linkTo(
  settings: SigningSettings,
  base: string,
  bucket: Bucket,
  key: ObjectKey,
  { expiresIn, ...policy }: LinkRequest,
  now: Date,
): Promise<Link> {
  const expires = linkExpiry(bucket, expiresIn, now)
  const link = await createLink(settings, base, bucket, key, policy, expires)
  return { link, expiresAt: new Date(expires * 1000).toISOString() }
}

/**
 * An absolute link to the object under `key`; `base` is what comes before `/i/…`. Does not check
 * whether the object exists.
 */
export async function createLink(
  settings: SigningSettings,
  base: string,
  bucket: Bucket,
  key: ObjectKey,
  { delivery, download }: Pick<LinkPolicy, 'delivery' | 'download'>,
  expires: number,
): Promise<string> {
  const policy = { bucket: bucket.alias, key, expires, delivery, download }
  return base + (await signLink(policy, settings))
}
