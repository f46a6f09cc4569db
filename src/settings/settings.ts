import type { ApiKey, JwtSettings, SigningSettings } from '../access/settings.ts'
import type { Bucket } from '../bucket/bucket.ts'

/** Everything that one instance is set to, checked, complete and frozen. */
export interface Settings extends SigningSettings {
  /** At least one; the first is the default. */
  readonly buckets: readonly [Bucket, ...Bucket[]]
  readonly apiKeys: readonly ApiKey[]
  /** Null where no JWT is accepted. */
  readonly jwt: JwtSettings | null
  /** Origins whose pages may use the API. */
  readonly corsOrigins: readonly string[]
  /** Those of them whose pages may send what the browser adds by itself, such as cookies. */
  readonly corsCookieOrigins: readonly string[]
  /** What comes before `/i/…` in a link; null takes where the instance is mounted. */
  readonly linkBase: string | null
  /** Whether the host of `linkBase` is for links alone: the instance answers nothing else there. */
  readonly linkHostOnly: boolean
  /** Whether a request for localhost needs no credentials. */
  readonly openOnLocalhost: boolean
}

/** Whether `url` has the host, and the port, that links have to themselves. */
export const asksLinkHost = ({ linkBase, linkHostOnly }: Settings, url: string): boolean =>
  linkHostOnly && linkBase !== null && new URL(url).host === new URL(linkBase).host
