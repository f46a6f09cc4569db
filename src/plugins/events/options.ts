import { EVENT_TYPES, type EventType } from '../../records/file-event.ts'
import type { Rule } from '../../settings/rules.ts'
import * as r from '../../settings/rules.ts'
import { secretBytes, type Webhook } from './webhook.ts'

/** An endpoint that receives events (docs/events.md). */
export interface WebhookInput {
  /** `https://…`, or `http://localhost:…` for development. */
  readonly url: string
  /** `whsec_` and base64. During a rotation, the old one and the new one. */
  readonly secret: string | readonly string[]
  /** Default: all events. */
  readonly events?: readonly EventType[] | undefined
  /** Whether the URL may be on this computer or in a private network. Default: false. */
  readonly private?: boolean | undefined
}

/** One request for each endpoint and event, so a few are enough. */
const MAX_WEBHOOKS = 10

function urlError(value: string): string | null {
  if (!URL.canParse(value)) return 'must be a URL, such as https://app.example.com/webhooks'
  const url = new URL(value)
  const isBare = url.username + url.password + url.hash === ''
  return (
    r.schemeError(url) ?? (isBare ? null : 'must not have a user name, a password or a fragment')
  )
}

/**
 * Private hosts, as `URL` spells them: names without a dot or never public, IPv4 that is not
 * public, and IPv6 outside 2000::/3, or in its parts for tunnels and documentation.
 */
const PRIVATE_HOSTS = [
  /^[^.:]+\.?$/,
  /\.(?:localhost|local|internal|home\.arpa)\.?$/,
  /^(?:0|10|127|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.(?:168|0\.0)|198\.1[89]|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])|22[4-9]|2[345]\d)(?:\.\d+)+$/,
  /^\[(?!(?!2002:|2001:(?:0|db8)?:)[23][0-9a-f]{3}:)/,
]

const secret = r.text((value) =>
  secretBytes(value) === null
    ? 'must be "whsec_" and the base64 of 24 to 64 bytes, such as the output of `echo whsec_$(openssl rand -base64 32)`'
    : r.printedError(value),
)

const secrets = r.oneOrMore(secret, (given) =>
  given.length > 2 || new Set(given).size < given.length
    ? 'must have one secret, or two different ones'
    : null,
)

const events = r.also(
  r.list(r.oneOf(...EVENT_TYPES), 1),
  r.repeats('an event', (type) => type),
)

/** Accepts the endpoints that receive events. */
export const webhooksRule: Rule<Webhook[]> = r.also(
  r.list(
    r.into(
      r.also(
        r.table({
          url: r.text(urlError),
          secret: secrets,
          events: r.optional(events, [...EVENT_TYPES]),
          private: r.optional(r.flag, false),
        }),
        (given) =>
          given.private || !PRIVATE_HOSTS.some((hosts) => hosts.test(new URL(given.url).hostname))
            ? null
            : 'has a url on this computer or in a private network. To allow it, set private to true',
      ),
      ({ url, secret, events }): Webhook => ({ url: new URL(url).href, secrets: secret, events }),
    ),
  ),
  (given) =>
    given.length > MAX_WEBHOOKS
      ? `must have at most ${MAX_WEBHOOKS} endpoints`
      : r.repeats<Webhook>('a URL', ({ url }) => url)(given),
)
