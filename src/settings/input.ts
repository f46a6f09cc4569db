import type { Bucket, SecondsByUse } from '../bucket/bucket.ts'
import type { UploadHeaders } from './upload-headers-rule.ts'

/** An access key of a bucket. */
export interface CredentialsInput {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** For temporary credentials. */
  readonly sessionToken?: string | undefined
  /** When temporary credentials expire. URLs expire no later. */
  readonly expiresAt?: Date | undefined
  /** What the AWS SDK calls `expiresAt`. */
  readonly expiration?: undefined
}

/**
 * Returns credentials that are fetched, such as those of an instance role. Called on first use, and
 * again before they expire, once for all requests that wait. `signal` aborts after ten seconds.
 */
export type FetchCredentials = (call: { readonly signal: AbortSignal }) => Promise<CredentialsInput>

/** One bucket. docs/configuration.md describes each member. */
export interface BucketInput {
  readonly endpoint: string
  /** The bucket's endpoint for clients, if the presigner uses another host. */
  readonly publicEndpoint?: string | undefined
  readonly region: string
  /** The bucket's name on its server. */
  readonly bucket: string
  readonly addressing?: 'path' | 'virtual' | undefined
  readonly credentials: CredentialsInput | FetchCredentials
  /** An access key for uploads that can't read. Default: `credentials`. */
  readonly uploadCredentials?: CredentialsInput | FetchCredentials | undefined
  /** An access key for upkeep. Default: the other two. */
  readonly upkeepCredentials?: CredentialsInput | FetchCredentials | undefined
  /** Maximum size of an upload in bytes. */
  readonly maxBytes?: number | undefined
  readonly postUploads?: boolean | undefined
  readonly normalizesKeys?: boolean | undefined
  readonly conditionalPut?: boolean | undefined
  readonly conditionalReplace?: boolean | undefined
  readonly conditionalDelete?: boolean | undefined
  readonly conditionalComplete?: boolean | undefined
  /** Prefixes of chosen keys that bucket notifications may record: `avatars/`. */
  readonly managedPrefixes?: readonly string[] | undefined
  /** `type/subtype` or `type/*`. */
  readonly allowedTypes?: readonly string[] | undefined
  /** Maximum lifetime in seconds, by use. */
  readonly maxExpiresIn?: Partial<SecondsByUse> | undefined
  /** Default lifetime in seconds, by use. */
  readonly defaultExpiresIn?: Partial<SecondsByUse> | undefined
  /** Headers of every upload, by S3's names: `x-amz-server-side-encryption` and others. */
  readonly uploadHeaders?: UploadHeaders | undefined
  /** Lifetime of an edge copy in seconds. With 0, no copy is kept. */
  readonly edgeTtl?: number | undefined
  /** Quality of resized images, 1 to 100. Default: 80. */
  readonly imageQuality?: number | undefined
  readonly crossOriginResourcePolicy?: Bucket['crossOriginResourcePolicy'] | undefined
}

/** The settings of one instance, as you write them. */
export type SettingsInput = CommonInput & (SharedHost | LinkHost)

interface CommonInput {
  /** Separates instances that share secrets: 1 to 32 of a-z, 0-9 and "-". */
  readonly name?: string | undefined
  /** Buckets by alias. The first one is the default. */
  readonly buckets: Readonly<Record<string, BucketInput>>
  /** `kid:secret[,kid:secret]`: the first one signs, and all of them verify. */
  readonly signingSecrets: string
  /** `https://app.example.com`, or `https://*.app.pages.dev`, where the star is one label. */
  readonly corsOrigins?: readonly string[] | undefined
  /** Origins whose pages may use the API with cookies. */
  readonly corsCookieOrigins?: readonly string[] | undefined
}

interface SharedHost {
  /** The URL before `/i/…` in a link, such as `https://app.example.com/media`. */
  readonly linkBase?: string | undefined
  readonly linkHostOnly?: false | undefined
}

interface LinkHost {
  readonly linkBase: string
  /** Whether the host of `linkBase` serves only links. */
  readonly linkHostOnly: boolean | undefined
}
