/** An access key of an S3 server and its secret. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/**
 * A running S3-compatible server with one empty private bucket, or one with what `directory` held
 * already.
 */
export interface S3Server extends AccessKey {
  /** For people: `s3rver` or `Ceph RGW`. */
  readonly name: string
  /** `http://127.0.0.1:PORT`, or the `host` of the options in place of 127.0.0.1. */
  readonly endpoint: string
  /**
   * The same for virtual-host addressing, `http://s3.localhost:PORT`: it's up to a client to find
   * 127.0.0.1.
   */
  readonly virtualEndpoint: string
  readonly region: string
  readonly bucket: string
  /**
   * A second pair: it may only write where the server knows such a thing, and is the same pair
   * where it doesn't.
   */
  readonly writer: AccessKey
  close(): Promise<void>
}

export interface S3ServerOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Where the objects are kept. */
  readonly directory: string
  /** Origins of pages that may talk to the bucket: at least one. */
  readonly corsOrigins: readonly [string, ...string[]]
  /** Whether pages of this machine may talk to it as well, on any port. */
  readonly loopbackOrigins?: boolean
  /** An IPv4 address of this machine to listen on in place of 127.0.0.1. */
  readonly host?: string | undefined
  /** Buckets beside the one that is always there. */
  readonly otherBuckets?: readonly string[]
  /** The secret of s3rver's access key, which is known to all unless given. */
  readonly secretAccessKey?: string
}
