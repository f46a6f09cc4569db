import { EVENT_TYPES } from '../../records/file-event.ts'
import {
  also,
  flag,
  into,
  list,
  oneOf,
  optional,
  printedError,
  type Rule,
  schemeError,
  table,
  text,
} from '../../settings/rules.ts'
import { secretBytes } from './standard-webhooks.ts'
import type { Webhook } from './webhook.ts'

/** One request for each endpoint and event, so a few are enough. */
const MAX_WEBHOOKS = 10

function urlError(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL, such as https://app.example.com/webhooks'
  const url = new URL(value)
  const isBare = url.username + url.password + url.hash === ''
  return schemeError(url) ?? (isBare ? null : 'must not have a user name, a password or a fragment')
}

/**
 * Hosts that only a private network has, as `URL` spells them: names without a dot and those that
 * are never public, IPv4 addresses that are not public, and IPv6 addresses outside 2000::/3, or in
 * its parts for tunnels and documentation.
 */
const PRIVATE_HOSTS = [
  /^[^.:]+\.?$/,
  /\.(?:localhost|local|internal|home\.arpa)\.?$/,
  /^(?:0|10|127|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.(?:168|0\.0)|198\.1[89]|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])|22[4-9]|2[345]\d)(?:\.\d+)+$/,
  /^\[(?!(?!2002:|2001:(?:0|db8)?:)[23][0-9a-f]{3}:)/,
]

const secret = text((value) =>
  secretBytes(value) === null
    ? 'must be "whsec_" and the base64 of 24 to 64 bytes, such as the output of `echo whsec_$(openssl rand -base64 32)`'
    : printedError(value),
)

const secrets = also(list(secret, 1), (given) =>
  given.length > 2 || new Set(given).size < given.length
    ? 'must have one secret, or two different ones'
    : null,
)

const events = also(list(oneOf(...EVENT_TYPES), 1), (given) =>
  new Set(given).size < given.length ? 'must not repeat an event' : null,
)

/** Accepts the endpoints that receive events. */
export const webhooksRule: Rule<Webhook[]> = also(
  list(
    into(
      also(
        table({
          url: text(urlError),
          secret: (value, place): ReturnType<typeof secrets> =>
            (Array.isArray(value) ? secrets : into(secret, (one) => [one]))(value, place),
          events: optional(events, [...EVENT_TYPES]),
          private: optional(flag, false),
        }),
        (given) =>
          given.private || !PRIVATE_HOSTS.some((hosts) => hosts.test(new URL(given.url).hostname))
            ? null
            : 'has a url on this computer or in a private network. To allow it, set private to true',
      ),
      ({ url, secret, events }): Webhook => ({ url: new URL(url).href, secrets: secret, events }),
    ),
  ),
  (given) => {
    if (given.length > MAX_WEBHOOKS) return `must have at most ${MAX_WEBHOOKS} endpoints`
    const urls = given.map(({ url }) => url)
    const again = urls.findIndex((url, i) => urls.indexOf(url) < i)
    return again === -1
      ? null
      : `must not repeat a URL (entries ${urls.indexOf(urls[again] ?? '')} and ${again})`
  },
)
