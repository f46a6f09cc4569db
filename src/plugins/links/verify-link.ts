import {
  isLinkSignature,
  LINK_FORMATS,
  type LinkPolicy,
  linkPath,
  type Variant,
} from '../../access/link-signature.ts'
import { isSignature } from '../../access/purpose-key.ts'
import type { SigningSettings } from '../../access/settings.ts'
import { objectKeyError, parseObjectKey } from '../../keys/object-key.ts'
import type { LinkRefusal } from './refusal.ts'

/** The result of a link check. */
export type LinkVerdict =
  | { readonly ok: true; readonly policy: LinkPolicy }
  | { readonly ok: false; readonly refusal: LinkRefusal }

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
  if (!isSignature(text) || linkPath(policy, secret, text) !== path + search)
    return refuse('link rewritten')
  if (!(await isLinkSignature(text, policy, secret))) return refuse('link signature wrong')
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

/** Returns the restrictions in a link's query, unparsed, or undefined: what is nothing else. */
function restrictionsIn(query: string): string | undefined {
  const members = query.slice(1, query.lastIndexOf('&kid=')).split('&')
  const own = members.filter((member) => !/^(?:exp|mode|dl|w|fmt|fallback)=/.test(member))
  return own.length === 0 ? undefined : own.join('&')
}
