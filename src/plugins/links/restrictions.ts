import * as z from 'zod/mini'
import type { LinkPolicy } from '../../access/link-signature.ts'
import type { Principal } from '../../access/principal.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { linkExpiry } from '../../core/link.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import type { AppContext } from '../../http/app-env.ts'
import { instant } from '../../http/fields.ts'
import { isInRanges, parseIpRange } from './ip-range.ts'
import { type KeptLinks, LINKS } from './options.ts'
import { refusedLink } from './refusal.ts'

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

/** Who may open a link, as a request states it. */
export type Restricted = z.infer<z.ZodMiniObject<typeof restricted>>

/** What the members of a request for a link must be together. */
export const oneListOfCountries = z.refine<Restricted>(
  ({ countries, notCountries }) => !(countries && notCountries),
  { path: ['notCountries'], error: 'must not be combined with countries' },
)

/** The restrictions of a link that another plugin makes later. */
export const restrictions = z.strictObject(restricted).check(oneListOfCountries)

/** What is known of who opens a link. */
interface Visitor {
  readonly request: Request
  /** Returns the client's address, if it is known. */
  readonly addressOf: KeptLinks['addressOf']
  readonly now: Date
}

/** One member of a link's query. */
interface Restriction {
  /** Returns its value in one spelling. Empty or undefined for none. */
  readonly write: (asked: Restricted) => string | undefined
  /** Returns why it doesn't allow this request, or null. */
  readonly refuses: (value: string, visitor: Visitor) => ApiError | null
}

/** The restrictions, by their names in the query, in its order. */
const RESTRICTIONS: Readonly<Record<string, Restriction>> = {
  nbf: {
    write: (asked) => validFrom(asked)?.toString(),
    refuses: (seconds, { now }) =>
      now.getTime() < Number(seconds) * 1000 ? refusedLink('link not valid yet') : null,
  },
  ips: {
    write: ({ ips }) => sorted(ips?.map((range) => parseIpRange(range)?.text ?? '')),
    refuses: (ranges, visitor) => refusesAddress(ranges.split(','), visitor),
  },
  countries: {
    write: (asked) => sorted(asked.countries),
    refuses: (list, { request }) =>
      refusesCountry(request, (code) => list.split(',').includes(code)),
  },
  notCountries: {
    write: (asked) => sorted(asked.notCountries),
    refuses: (list, { request }) =>
      refusesCountry(request, (code) => !list.split(',').includes(code)),
  },
}

const sorted = (given: readonly string[] = []): string => [...new Set(given)].toSorted().join()

/** Returns when a link is valid from, in seconds since 1970, or undefined for at once. */
const validFrom = ({ notBefore }: Restricted): number | undefined =>
  notBefore === undefined ? undefined : Math.ceil(Date.parse(notBefore) / 1000)

function refusesAddress(
  ranges: readonly string[],
  { request, addressOf }: Visitor,
): ApiError | null {
  try {
    const address: unknown = addressOf?.(request)
    // An unhandled rejection would end a Node process.
    if (address instanceof Promise) address.catch(() => undefined)
    if (typeof address !== 'string') return refusedLink('link address unknown')
    return isInRanges(address, ranges) ? null : refusedLink('link address not allowed')
  } catch (error) {
    return refusedLink('link address unknown', `; ${describe(error)}`)
  }
}

function refusesCountry({ cf }: Request, allows: (code: string) => boolean): ApiError | null {
  const country = String(cf?.country)
  if (!KNOWN_COUNTRY.test(country)) return refusedLink('link country unknown')
  return allows(country) ? null : refusedLink('link country not allowed')
}

/** Returns the part of a link's query with its restrictions, in one spelling, or undefined for none. */
function restrictionsText(asked: Restricted): string | undefined {
  const members = Object.entries(RESTRICTIONS).flatMap(([name, { write }]) => {
    const value = write(asked)
    return value ? [`${name}=${value}`] : []
  })
  return members.length === 0 ? undefined : members.join('&')
}

/** Throws the error of a verified link whose `restrictions`, if any, don't allow this request. */
export function requireVisitor(c: AppContext, restrictions: string | undefined, now: Date): void {
  const visitor = { request: c.req.raw, addressOf: LINKS.of(c.env.instance)?.addressOf, now }
  for (const [name, value] of new URLSearchParams(restrictions)) {
    const known = Object.hasOwn(RESTRICTIONS, name) ? RESTRICTIONS[name] : undefined
    // A later version may have signed a restriction that this one doesn't know.
    const refused = known ? known.refuses(value, visitor) : refusedLink('link malformed')
    if (refused !== null) throw refused
  }
}

/**
 * Returns the restrictions of a link. Throws `forbidden` for a redirect if lifetimes are limited: its
 * target outlives the link. Throws `invalid_request` for a redirect with restrictions, which its
 * target doesn't have.
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
