import { base64url, fromBase64url, uriEncode, utf8 } from '../keys/encodings.ts'
import { type ObjectKey, objectKeyFault, parseObjectKey } from '../keys/object-key.ts'
import { purposeKey } from './purpose-key.ts'
import type { SigningSecret, SigningSettings } from './settings.ts'
import type { LinkRefusal } from './verdict.ts'

/** All that a link allows. */
export interface LinkPolicy {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: ObjectKey
  /** Seconds since 1970; from this second on the link has expired. */
  readonly expires: number
  /** Bytes through this Worker, or a redirect to the bucket. */
  readonly delivery: 'stream' | 'redirect'
  /** Name to save the object under; null shows it in place. */
  readonly download: string | null
}

/** What a check of a link finds. */
export type LinkVerdict =
  | { readonly ok: true; readonly policy: LinkPolicy }
  | { readonly ok: false; readonly refusal: LinkRefusal }

/**
 * What the signature of a link covers: every member of the policy, one a line, none of which can
 * hold a line break.
 */
export const canonicalString = ({ bucket, key, expires, delivery, download }: LinkPolicy): string =>
  [
    'edge-presigner link v1',
    bucket,
    expires,
    delivery,
    download === null ? 'inline' : `attachment ${uriEncode(download)}`,
    key,
  ].join('\n')

/**
 * Path and query of a link for `policy`: HMAC-SHA-256 by the first secret. The same policy gives
 * the same text.
 */
export async function signLink(
  policy: LinkPolicy,
  { signingSecrets }: SigningSettings,
): Promise<string> {
  const [secret] = signingSecrets
  const key = await purposeKey(secret, 'link')
  const signature = await crypto.subtle.sign('HMAC', key, utf8(canonicalString(policy)))
  return spell(policy, secret, new Uint8Array(signature))
}

/** What a client asks for: the path behind the place where the presigner is mounted, and the query. */
export interface LinkTarget extends Pick<URL, 'search' | 'searchParams'> {
  readonly path: string
}

/**
 * The policy of a link. Its one spelling is the one that `signLink` gives: another encoding, order
 * or parameter makes it invalid, whatever its signature.
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
  if (objectKeyFault(key) !== null || !/^\d{1,12}$/.test(expires)) return refuse('link malformed')

  const policy: LinkPolicy = {
    bucket,
    key: parseObjectKey(key),
    expires: Number(expires),
    delivery: searchParams.has('mode') ? 'redirect' : 'stream',
    download: searchParams.get('dl'),
  }
  const signature = decodeSignature(searchParams.get('sig') ?? '')
  if (signature === null || spell(policy, secret, signature) !== path + search)
    return refuse('link spelled otherwise')
  const hmacKey = await purposeKey(secret, 'link')
  const data = utf8(canonicalString(policy))
  if (!(await crypto.subtle.verify('HMAC', hmacKey, signature, data)))
    return refuse('link signature wrong')
  if (now.getTime() >= policy.expires * 1000) return refuse('link expired')
  return { ok: true, policy }
}

function spell(policy: LinkPolicy, { kid }: SigningSecret, signature: Uint8Array): string {
  const { bucket, key, expires, delivery, download } = policy
  const query = [
    `exp=${expires}`,
    ...(delivery === 'redirect' ? ['mode=redirect'] : []),
    ...(download === null ? [] : [`dl=${uriEncode(download)}`]),
    `kid=${kid}`,
    `sig=${base64url(signature)}`,
  ]
  return `/i/${bucket}/${uriEncode(key)}?${query.join('&')}`
}

/** 32 bytes in base64url: of the last character four bits count, and the others are zero. */
const SIGNATURE = /^[\w-]{42}[AEIMQUYcgkosw048]$/

const decodeSignature = (text: string): Uint8Array | null =>
  SIGNATURE.test(text) ? fromBase64url(text) : null
