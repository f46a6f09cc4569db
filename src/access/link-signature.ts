import { base64url, fromBase64url, uriEncode, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { purpose, purposeKey } from './purpose-key.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'

const LINK = purpose('link')

/** The formats that a link can ask for. `auto` depends on the client's `Accept` header. */
export const LINK_FORMATS = ['auto', 'avif', 'webp', 'jpeg', 'png'] as const

/** A resized copy of an image. */
export interface Variant {
  /** Pixels. */
  readonly width: number
  readonly format: (typeof LINK_FORMATS)[number]
  /** Whether the link shows the original if the image can't be resized. */
  readonly fallback: boolean
}

/** Everything that a link allows. */
export interface LinkPolicy {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: ObjectKey
  /** When the link expires, in seconds since 1970. */
  readonly expires: number
  /** Whether the Worker sends the file, or redirects to the bucket. */
  readonly delivery: 'stream' | 'redirect'
  /** Name to save the object under, or null to show it in the browser. */
  readonly download: string | null
  /** Null for the original. */
  readonly variant: Variant | null
  /**
   * Who may open the link, and from when, in the form of its query, such as `nbf=1795543200`. Undefined
   * for everyone.
   */
  readonly restrictions?: string | undefined
}

/** A policy to sign. Without a variant, it is one for the original. */
type SignedPolicy = Omit<LinkPolicy, 'variant'> & Partial<Pick<LinkPolicy, 'variant'>>

/** Returns what a link's signature covers: each member on a line, since none has a line break. */
export const canonicalString = (policy: SignedPolicy): string =>
  [
    'edge-presigner link v1',
    policy.bucket,
    policy.expires,
    policy.delivery,
    policy.download === null ? 'inline' : `attachment ${uriEncode(policy.download)}`,
    moreQuery(policy).join('&'),
    policy.key,
  ].join('\n')

/** Returns the members of the query for a variant and for restrictions. */
const moreQuery = ({ variant, restrictions }: SignedPolicy): string[] => [
  ...(variant ? [`w=${variant.width}`, `fmt=${variant.format}`] : []),
  ...(variant?.fallback ? ['fallback=original'] : []),
  ...(restrictions ? [restrictions] : []),
]

/** Returns the path and query of a link, signed by HMAC-SHA-256: always the same text. */
export async function signLink(
  policy: SignedPolicy,
  { signingSecrets }: SigningSettings,
): Promise<string> {
  const [secret] = signingSecrets
  const key = await purposeKey(secret, LINK)
  const signature = await crypto.subtle.sign('HMAC', key, utf8(canonicalString(policy)))
  return linkPath(policy, secret, base64url(new Uint8Array(signature)))
}

/** Tells whether `signature` is that of a link with this policy. */
export async function isLinkSignature(
  signature: string,
  policy: SignedPolicy,
  secret: SigningSecret,
): Promise<boolean> {
  const key = await purposeKey(secret, LINK)
  const data = utf8(canonicalString(policy))
  return crypto.subtle.verify('HMAC', key, fromBase64url(signature), data)
}

/** Returns the path and query of a link with this signature. */
export function linkPath(policy: SignedPolicy, { kid }: SigningSecret, signature: string): string {
  const { bucket, key, expires, delivery, download } = policy
  const query = [
    `exp=${expires}`,
    ...(delivery === 'redirect' ? ['mode=redirect'] : []),
    ...(download ? [`dl=${uriEncode(download)}`] : []),
    ...moreQuery(policy),
    `kid=${kid}`,
    `sig=${signature}`,
  ]
  return `/i/${bucket}/${uriEncode(key)}?${query.join('&')}`
}
