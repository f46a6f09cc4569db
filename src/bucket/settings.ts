// biome-ignore lint/style/noRestrictedImports: points up until access/ takes its part of the settings, and not all of Config
import type { ApiKey, JwtSettings } from '../access/settings.ts'
import type { Bucket } from './bucket.ts'

export interface SigningSecret {
  readonly kid: string
  readonly secret: string
}

/** All settings of the Worker, checked, complete and frozen. */
export interface Config {
  /** At least one; the first is the default. */
  readonly buckets: readonly [Bucket, ...Bucket[]]
  /** The first signs, all verify. */
  readonly signingSecrets: readonly [SigningSecret, ...SigningSecret[]]
  readonly apiKeys: readonly ApiKey[]
  /** Null where no JWT is accepted. */
  readonly jwt: JwtSettings | null
  readonly corsOrigins: readonly string[]
  /** Origin of the links that this Worker makes; null takes that of the request. */
  readonly linkOrigin: string | null
  /** Whether a request for localhost needs no credentials. */
  readonly openOnLocalhost: boolean
}
