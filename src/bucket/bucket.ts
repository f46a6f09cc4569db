/** An access key. `expiresAt` is in milliseconds since 1970, or infinite. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | null
  readonly expiresAt: number
}

/** The address of a bucket. */
export interface Address {
  /** Scheme, host and port. With addressing "virtual", the host is the bucket's own. */
  readonly origin: string
  /** Path before every key. Starts and ends with `/`. */
  readonly basePath: string
}

/** Lifetimes in seconds, by the purpose of a URL. */
export type SecondsByUse = Readonly<Record<'upload' | 'view' | 'stream' | 'email' | 'link', number>>

/** A bucket with all defaults. `origin` and `basePath` are for the presigner's own requests. */
export interface Bucket extends Address {
  readonly alias: string
  /** The bucket's address for clients. URLs are signed for this host. */
  readonly publicAddress: Address
  /** The bucket's name on its server. */
  readonly name: string
  readonly region: string
  readonly credentials: Credentials
  readonly uploadCredentials: Credentials
  /** Maximum size of an upload in bytes, or null for no limit. */
  readonly maxBytes: number | null
  /** Whether the server supports POST policies, for uploads by HTML forms. */
  readonly postUploads: boolean
  /** Whether the server stores keys in Unicode NFC, so that each key has one spelling. */
  readonly normalizesKeys: boolean
  /** Whether the server supports If-None-Match on PutObject. */
  readonly conditionalPut: boolean
  /** Whether the server supports If-Match on PutObject. */
  readonly conditionalReplace: boolean
  /** Whether DeleteObject accepts `If-Match`. */
  readonly conditionalDelete: boolean
  /** Whether the server supports its conditions on PutObject also on CompleteMultipartUpload. */
  readonly conditionalComplete: boolean
  /** Prefixes of chosen keys that bucket notifications may record. */
  readonly managedPrefixes: readonly string[]
  /** `type/subtype` or `type/*`, in lower case, or null if every type is allowed. */
  readonly allowedTypes: readonly string[] | null
  readonly maxExpiresIn: SecondsByUse
  /** Lifetime of a URL without `expiresIn`. Shortened to the allowed maximum. */
  readonly defaultExpiresIn: SecondsByUse
  /** Headers that every upload carries, by their names in lower case. */
  readonly uploadHeaders: Readonly<Record<string, string>> | null
  /** Headers of every request. A signed URL has them in its query, where S3 reads them too. */
  readonly requestHeaders: Readonly<Record<string, string>> | null
  /** Maximum lifetime of an edge copy, in seconds. */
  readonly edgeTtlSeconds: number
  /** Quality of resized images, 1 to 100. */
  readonly imageQuality: number
  readonly crossOriginResourcePolicy: 'cross-origin' | 'same-site' | 'same-origin'
}

/** A bucket as the settings have it. `openBucket` fetches the credentials of a source. */
export type ConfiguredBucket = BucketWith<Credentials | CredentialSource>

export type BucketWith<C> = Omit<Bucket, 'credentials' | 'uploadCredentials'> & {
  readonly [Name in 'credentials' | 'uploadCredentials']: C
} & {
  /** The access key for upkeep. Undefined if upkeep uses the other two. */
  readonly upkeepCredentials?: C | undefined
}

/** Keeps work running after the response, and also if the client disconnects. */
export interface Background {
  waitUntil(work: Promise<unknown>): void
}

/** A function of the settings that fetches credentials. */
export interface CredentialSource {
  /**
   * Returns the credentials at `now`, without a promise if they are known. Throws
   * `unavailable`, also at the deadline of `now`.
   */
  current(now: Date, background: Background): Credentials | Promise<Credentials>
}
