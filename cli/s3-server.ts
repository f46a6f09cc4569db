/** An access key of an S3 server and its secret. */
export interface AccessKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/**
 * A running S3-compatible server with one private bucket. The bucket contains what `directory`
 * already held.
 */
export interface S3Server extends AccessKey {
  /** Display name: `s3rver` or `Ceph RGW`. */
  readonly name: string
  /** `http://127.0.0.1:PORT`, or `http://HOST:PORT` with the `host` of the options. */
  readonly endpoint: string
  /**
   * The endpoint for virtual-host addressing: `http://s3.localhost:PORT`. The client must resolve it to
   * 127.0.0.1.
   */
  readonly virtualEndpoint: string
  readonly region: string
  readonly bucket: string
  /**
   * A second access key that may only write. If the server doesn't support that, it is the
   * first one.
   */
  readonly writer: AccessKey
  close(): Promise<void>
}

/** How the buckets of a server are set up. */
export interface BucketOptions {
  /** Origins of pages that may use the bucket: at least one. */
  readonly corsOrigins: readonly [string, ...string[]]
  /** Whether pages of this machine may also use the bucket, on any port. */
  readonly loopbackOrigins?: boolean
  /** More buckets, in addition to the default one. */
  readonly otherBuckets?: readonly string[]
}

export interface S3ServerOptions extends BucketOptions {
  /** 0 chooses a free port. */
  readonly port: number
  /** Folder of the objects. */
  readonly directory: string
  /** An IPv4 address of this machine to listen on instead of 127.0.0.1. */
  readonly host?: string | undefined
  /** The secret of s3rver's access key. The default is publicly known. */
  readonly secretAccessKey?: string
}
