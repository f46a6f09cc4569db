import type { ApiKey, JwtSettings, SigningSettings } from '../access/settings.ts'
import type { Bucket } from '../bucket/bucket.ts'

/** Everything that one instance is set to, checked, complete and frozen. */
export interface Settings extends SigningSettings {
  /** At least one; the first is the default. */
  readonly buckets: readonly [Bucket, ...Bucket[]]
  readonly apiKeys: readonly ApiKey[]
  /** Null where no JWT is accepted. */
  readonly jwt: JwtSettings | null
  /** Where `jwt` is in the settings: for an issue that shows only when its key is imported. */
  readonly jwtPath: 'JWT' | 'jwt'
  /** Origins whose pages may use the API; `*` stands for one label of a host. */
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

/** One label of a host name, as browsers write it in an origin. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Whether pages of `origin` may use the API. */
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

/** Whether `url` has the host, and the port, that links have to themselves. */
export const asksLinkHost = ({ linkBase, linkHostOnly }: Settings, url: string): boolean =>
  linkHostOnly && linkBase !== null && new URL(url).host === new URL(linkBase).host
