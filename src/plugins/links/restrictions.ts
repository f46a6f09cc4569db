import * as z from 'zod/mini'
import type { LinkPolicy } from '../../access/link-signature.ts'
import type { Principal } from '../../access/principal.ts'
import { LINK_REFUSALS, type LinkRefusal } from '../../access/verdict.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { linkExpiry, type Restricted } from '../../core/link.ts'
import { ApiError, invalidMember, type Reason } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import { instant } from '../../http/fields.ts'
import { isInRanges, parseIpRange } from './ip-range.ts'
import type { KeptLinks } from './options.ts'

/** Maximum number of addresses and ranges in a link. */
const MAX_IPS = 16
/** Maximum number of countries in a link. */
const MAX_COUNTRIES = 64

const isIpRange = (text: string): boolean => parseIpRange(text) !== null

/**
 * Cloudflare reports XX for an unknown country, T1 for Tor, and may report EU and OC for a continent.
 * `Intl` has names for these and for other codes that no country has in ISO 3166-1, except XK.
 */
const KNOWN_COUNTRY = /^(?!A[CP]|C[PQ]|DG|E[AUZ]|IC|OC|QO|TA|UN|X[ABX]|ZZ)[A-Z]{2}$/

/** Refuses codes that Cloudflare never reports: unknown ones, and former ones such as UK. */
function isCountry(code: string): boolean {
  if (!KNOWN_COUNTRY.test(code)) return false
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })
  return names.of(code) !== undefined && new Intl.Locale(`und-${code}`).region === code
}

const textThat = (accepts: (text: string) => boolean, message: string) =>
  z.string().check(z.refine(accepts, message))

const listOf = (item: ReturnType<typeof textThat>, max: number) =>
  z.optional(z.array(item).check(z.minLength(1), z.maxLength(max)))

const countries = listOf(
  textThat(isCountry, 'must be a country such as DE or GB (ISO 3166 alpha-2)'),
  MAX_COUNTRIES,
)

/** Members of a request for links that only some may open. */
export const restricted = {
  notBefore: z.optional(instant()),
  ips: listOf(
    textThat(
      isIpRange,
      'must be an address, or a range such as 192.0.2.0/24 with zeros after its prefix',
    ),
    MAX_IPS,
  ),
  countries,
  notCountries: countries,
}

/** Returns when a link is valid from, in seconds since 1970, or undefined for at once. */
const validFrom = ({ notBefore }: Restricted): number | undefined =>
  notBefore === undefined ? undefined : Math.ceil(Date.parse(notBefore) / 1000)

/** Returns the part of a link's query with its restrictions, in one spelling, or undefined for none. */
function restrictionsText(asked: Restricted): string | undefined {
  const list = (given: readonly string[] = []) => [...new Set(given)].toSorted().join()
  const members = {
    nbf: validFrom(asked),
    ips: list(asked.ips?.map((range) => parseIpRange(range)?.text ?? '')),
    countries: list(asked.countries),
    notCountries: list(asked.notCountries),
  }
  const parts = Object.entries(members).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`${name}=${value}`],
  )
  return parts.length === 0 ? undefined : parts.join('&')
}

/**
 * Throws the error of a verified link whose `restrictions` don't allow this request. `addressOf`
 * returns the client's address, if it is known.
 */
export function requireAllowed(
  restrictions: string,
  request: Request,
  addressOf: KeptLinks['addressOf'],
  now: Date,
): void {
  const query = new URLSearchParams(restrictions)
  const list = (name: string) => query.get(name)?.split(',')
  if (now.getTime() < Number(query.get('nbf')) * 1000) throw refusedLink('link not valid yet')
  const ips = list('ips')
  if (ips !== undefined) {
    const address = addressIn(request, addressOf)
    // An unhandled rejection would end a Node process.
    if (address instanceof Promise) address.catch(() => undefined)
    if (typeof address !== 'string') throw refusedLink('link address unknown')
    if (!isInRanges(address, ips)) throw refusedLink('link address not allowed')
  }
  const allowed = list('countries')
  const refused = list('notCountries')
  if (allowed === undefined && refused === undefined) return
  const country = String(request.cf?.country)
  if (!KNOWN_COUNTRY.test(country)) throw refusedLink('link country unknown')
  if (allowed?.includes(country) === false || refused?.includes(country))
    throw refusedLink('link country not allowed')
}

/** Returns what the app says about the client's address. If it throws, nothing is known. */
function addressIn(request: Request, addressOf: KeptLinks['addressOf']): unknown {
  try {
    return addressOf?.(request)
  } catch (error) {
    throw refusedLink('link address unknown', `; ${describe(error)}`)
  }
}

const MESSAGES: Readonly<Record<Reason<'link_invalid'>, string>> = {
  signature: 'This link is not valid.',
  not_yet: 'This link is not valid yet.',
  address: 'This link is not for your network.',
  country: 'This link is not for your country.',
}

/** Returns the error of a refused link. The log has its reason, with what is added to it. */
export function refusedLink(refusal: LinkRefusal, more = ''): ApiError {
  const reason = LINK_REFUSALS[refusal]
  const cause = refusal + more
  if (reason === 'expired') return new ApiError('link_expired', 'This link has expired.', { cause })
  return new ApiError('link_invalid', MESSAGES[reason], { reason, cause })
}

/**
 * Returns the restrictions of a link. Throws `forbidden` for a redirect if lifetimes are limited: its
 * target outlives the link. Throws `invalid_request` for a redirect with restrictions, which its
 * target doesn't have, and for two lists of countries.
 */
export function restrictionsOf(
  { limits }: Principal,
  delivery: LinkPolicy['delivery'],
  asked: Restricted,
): string | undefined {
  if (delivery === 'redirect' && limits.maxExpiresIn !== null)
    throw new ApiError(
      'forbidden',
      'The target of a redirect could outlive your maxExpiresIn. Use the delivery "stream".',
    )
  const restrictions = restrictionsText(asked)
  if (delivery === 'redirect' && restrictions !== undefined)
    throw invalidMember('delivery', 'must be "stream" for a link with restrictions')
  if (asked.countries && asked.notCountries)
    throw invalidMember('notCountries', 'must not be combined with countries')
  return restrictions
}

/**
 * Returns when a link expires, in seconds since 1970: with `notBefore`, exactly `expiresIn` after it.
 * Throws `invalid_expiry`, also if that is in the past, or later than for any other link.
 */
export function expiryOf(
  bucket: ConfiguredBucket,
  expiresIn: number | undefined,
  asked: Restricted,
): number {
  const now = new Date()
  const start = validFrom(asked)
  if (start === undefined) return linkExpiry(bucket, expiresIn, now)
  const max = bucket.maxExpiresIn.link
  const expires = start + (expiresIn ?? Math.min(bucket.defaultExpiresIn.link, max))
  const left = expires - now.getTime() / 1000
  if (expires > start && left > 0 && left <= max) return expires
  throw new ApiError('invalid_expiry', `The link must end within ${max} seconds from now.`)
}
