import { type LinkPolicy, signLink, type Variant } from '../access/link-signature.ts'
import type { SigningSettings } from '../access/settings.ts'
import type { ConfiguredBucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'

/**
 * Returns when a link expires, in seconds since 1970. The time is the end of a window that is as
 * long as the requested lifetime, so that all requests within the window get the same link. The
 * link is valid for one to two such lifetimes. Throws `invalid_expiry`.
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

/** A link in the form for clients. */
export interface Link {
  /** With several variants, the link of the widest one. */
  readonly link: string
  /** The links of several variants, for the attribute `srcset` of `<img>`. */
  readonly srcset?: string | undefined
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Maximum length of a name to save a file under, in UTF-16 code units. */
export const MAX_LINK_NAME_LENGTH = 255

export interface LinkRequest extends Pick<LinkPolicy, 'delivery' | 'download'> {
  /** Lifetime in seconds. Default: the bucket's default, which is a day unless configured. */
  readonly expiresIn?: number | undefined
  /** One resized copy of an image, or several for `srcset`. Default: the original. */
  readonly variant?: Variant | readonly Variant[] | undefined
}

/** Returns one link and its expiry. Throws `invalid_expiry`. */
export async function linkTo(
  settings: SigningSettings,
  base: string,
  bucket: ConfiguredBucket,
  key: ObjectKey,
  { expiresIn, ...request }: LinkRequest,
  now: Date,
): Promise<Link> {
  const expires = linkExpiry(bucket, expiresIn, now)
  const links = await createLink(settings, base, bucket, key, request, expires)
  return { ...links, expiresAt: new Date(expires * 1000).toISOString() }
}

/**
 * Returns an absolute link to the object under `key`, or to its variants. `base` is the URL before
 * `/i/…`. Does not check that the object exists.
 */
export async function createLink(
  settings: SigningSettings,
  base: string,
  bucket: ConfiguredBucket,
  key: ObjectKey,
  { delivery, download, variant }: Omit<LinkRequest, 'expiresIn'>,
  expires: number,
): Promise<Omit<Link, 'expiresAt'>> {
  const linkOf = async (one: Variant | null): Promise<string> => {
    const policy = { bucket: bucket.alias, key, expires, delivery, download, variant: one }
    return base + (await signLink(policy, settings))
  }
  if (variant === undefined || !isSeveral(variant)) return { link: await linkOf(variant ?? null) }
  const sorted = variant.toSorted((a, b) => a.width - b.width)
  const links = await Promise.all(sorted.map(linkOf))
  const srcset = links.map((link, i) => `${link} ${sorted[i]?.width}w`).join(', ')
  return { link: links.at(-1) ?? '', srcset }
}

const isSeveral = (variant: Variant | readonly Variant[]): variant is readonly Variant[] =>
  Array.isArray(variant)
