import type { SigningSettings } from '../access/settings.ts'
import type { ConfiguredBucket } from '../bucket/bucket.ts'

/** The settings of one instance: checked, complete and frozen. */
export interface Settings<B extends ConfiguredBucket = ConfiguredBucket> extends SigningSettings {
  /** At least one bucket. The first one is the default. */
  readonly buckets: readonly [B, ...B[]]
  /** Origins whose pages may use the API. `*` matches one label of a host. */
  readonly corsOrigins: readonly string[]
  /** Those of `corsOrigins` whose pages may send what the browser adds, such as cookies. */
  readonly corsCookieOrigins: readonly string[]
  /** The URL before `/i/…` in a link. Null for the URL where the instance is mounted. */
  readonly linkBase: string | null
  /** Whether the host of `linkBase` serves only links. */
  readonly linkHostOnly: boolean
  /** Whether a request for localhost needs no credentials. */
  readonly openOnLocalhost: boolean
}

/** One label of a host name, as in the origins that browsers send. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Tells whether pages of `origin` may use the API. */
export const takesOrigin = (
  { corsOrigins }: Pick<Settings, 'corsOrigins'>,
  origin: string,
): boolean =>
  corsOrigins.some((allowed) => {
    const [start = '', end] = allowed.split('*')
    return end === undefined
      ? origin === allowed
      : origin.startsWith(start) &&
          origin.endsWith(end) &&
          LABEL.test(origin.slice(start.length, -end.length))
  })

/** Tells whether `url` is at the host for links only, at any port, also with a final dot. */
export const asksLinkHost = ({ linkBase, linkHostOnly }: Settings, url: string): boolean =>
  linkHostOnly && linkBase !== null && hostNameOf(url) === hostNameOf(linkBase)

const hostNameOf = (url: string): string => new URL(url).hostname.replace(/\.+$/, '')
