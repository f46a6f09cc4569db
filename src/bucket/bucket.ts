/**
 * An access key pair. `expiresAt` is in milliseconds since 1970, infinite for a pair that does not
 * end.
 */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | null
  readonly expiresAt: number
}

/** Where a bucket is reached. */
export interface Address {
  /** Scheme, host and port; with addressing "virtual" the bucket's own host. */
  readonly origin: string
  /** Path in front of every key: starts and ends with `/`. */
  readonly basePath: string
}

/** Lifetimes in seconds, by what a URL is for. */
export type SecondsByUse = Readonly<Record<'upload' | 'view' | 'stream' | 'email' | 'link', number>>

/**
 * One table of `BUCKETS`, with its credentials and every default in place. `origin` and `basePath`
 * are for the requests of the presigner itself.
 */
export interface Bucket extends Address {
  readonly alias: string
  /** Where clients reach the bucket: their URLs are signed for this host. */
  readonly publicAddress: Address
  /** The server's own name of it. */
  readonly name: string
  readonly region: string
  readonly credentials: Credentials
  readonly uploadCredentials: Credentials
  /** Largest upload in bytes; null where the bucket alone decides. */
  readonly maxBytes: number | null
  /** Whether the server takes POST policies, for uploads by HTML forms. */
  readonly postUploads: boolean
  /** Whether the server stores a key in Unicode NFC, so that its other spellings are one object. */
  readonly normalizesKeys: boolean
  /** Whether the server honours If-None-Match where it completes an upload in parts. */
  readonly conditionalComplete: boolean
  /** `type/subtype` or `type/*`, lower case; null where every type is welcome. */
  readonly allowedTypes: readonly string[] | null
  /** Longest lifetime of a URL. */
  readonly maxExpiresIn: SecondsByUse
  /** Lifetime of a URL where nobody asks for one; it shrinks to what is allowed. */
  readonly defaultExpiresIn: SecondsByUse
  /** Seconds that an edge copy of an object may live. */
  readonly edgeTtlSeconds: number
  /** Value of the header of that name on what links deliver. */
  readonly crossOriginResourcePolicy: 'cross-origin' | 'same-site' | 'same-origin'
}
