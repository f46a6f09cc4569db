import { base64url, fromBase64url, uriEncode, utf8 } from '../keys/encodings.ts'
import { type ObjectKey, objectKeyError, parseObjectKey } from '../keys/object-key.ts'
import { isSignature, purposeKey } from './purpose-key.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'
import type { LinkRefusal } from './verdict.ts'

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
   * Who may open the link, and from when, in the form of its query: `restrictionsText` of
   * src/plugins/links/restrictions.ts. Undefined for everyone.
   */
  readonly restrictions?: string | undefined
}

/** A policy to sign. Without a variant, it is one for the original. */
type SignedPolicy = Omit<LinkPolicy, 'variant'> & Partial<Pick<LinkPolicy, 'variant'>>

/** The result of a link check. */
export type LinkVerdict =
  | { readonly ok: true; readonly policy: LinkPolicy }
  | { readonly ok: false; readonly refusal: LinkRefusal }

/** Returns what a link's signature covers: each member on a line, since none has a line break. */
export const canonicalString = (policy: SignedPolicy): string => {
  const { bucket, key, expires, delivery, download, restrictions, variant } = policy
  const more = moreQuery(policy)
  return [
    `edge-presigner link v${restrictions ? 3 : variant ? 2 : 1}`,
    bucket,
    expires,
    delivery,
    download === null ? 'inline' : `attachment ${uriEncode(download)}`,
    ...(more.length ? [more.join(' ')] : []),
    key,
  ].join('\n')
}

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
  const key = await purposeKey(secret, 'link')
  const signature = await crypto.subtle.sign('HMAC', key, utf8(canonicalString(policy)))
  return spell(policy, secret, base64url(new Uint8Array(signature)))
}

/** The requested URL: the path below the presigner's mount path, and the query. */
export interface LinkTarget extends Pick<URL, 'search' | 'searchParams'> {
  readonly path: string
}

/**
 * Verifies a link and returns its policy. Accepts only the exact text from `signLink`. Another
 * encoding, order or parameter makes the link invalid, even with a valid signature.
 */
export async function verifyLink(
  { path, search, searchParams }: LinkTarget,
  bucket: string,
  key: string,
  { signingSecrets }: SigningSettings,
  now: Date,
): Promise<LinkVerdict> {
  const refuse = (refusal: LinkRefusal): LinkVerdict => ({ ok: false, refusal })
  const secret = signingSecrets.find(({ kid }) => kid === searchParams.get('kid'))
  if (secret === undefined) return refuse('link kid unknown')
  const expires = searchParams.get('exp') ?? ''
  if (objectKeyError(key) !== null || !/^\d{1,12}$/.test(expires)) return refuse('link malformed')

  const policy: LinkPolicy = {
    bucket,
    key: parseObjectKey(key),
    expires: Number(expires),
    delivery: searchParams.has('mode') ? 'redirect' : 'stream',
    download: searchParams.get('dl'),
    variant: variantIn(searchParams),
    restrictions: restrictionsIn(search),
  }
  const text = searchParams.get('sig') ?? ''
  if (!isSignature(text) || spell(policy, secret, text) !== path + search)
    return refuse('link rewritten')
  const hmacKey = await purposeKey(secret, 'link')
  const data = utf8(canonicalString(policy))
  if (!(await crypto.subtle.verify('HMAC', hmacKey, fromBase64url(text), data)))
    return refuse('link signature wrong')
  if (now.getTime() >= policy.expires * 1000) return refuse('link expired')
  return { ok: true, policy }
}

/** Returns the variant in a link's query, or null. `verifyLink` refuses any other spelling. */
function variantIn(query: URLSearchParams): Variant | null {
  const format = LINK_FORMATS.find((name) => name === query.get('fmt'))
  const width = Number(query.get('w'))
  if (format === undefined || !Number.isInteger(width)) return null
  return { width, format, fallback: query.has('fallback') }
}

/** Returns the restrictions in a link's query, unparsed, or undefined. */
function restrictionsIn(query: string): string | undefined {
  const start = query.search(/&(?:nbf|ips|countries|notCountries)=/)
  return start < 0 ? undefined : query.slice(start + 1, query.lastIndexOf('&kid='))
}

function spell(policy: SignedPolicy, { kid }: SigningSecret, signature: string): string {
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
