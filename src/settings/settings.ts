import type { ApiKey, JwtSettings, SigningSettings } from '../access/settings.ts'
import type { Bucket } from '../bucket/bucket.ts'

/** Everything that one instance is set to, checked, complete and frozen. */
export interface Settings extends SigningSettings {
  /** At least one; the first is the default. */
  readonly buckets: readonly [Bucket, ...Bucket[]]
  readonly apiKeys: readonly ApiKey[]
  /** Null where no JWT is accepted. */
  readonly jwt: JwtSettings | null
  readonly corsOrigins: readonly string[]
  /** Origin of the links that this Worker makes; null takes that of the request. */
  readonly linkOrigin: string | null
  /** Whether a request for localhost needs no credentials. */
  readonly openOnLocalhost: boolean
}
