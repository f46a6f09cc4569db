/** A running S3-compatible server with one empty private bucket, or one with what `directory` held already. */
export interface S3Server {
  /** For people: `s3rver` or `Ceph RGW`. */
  readonly name: string
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  close(): Promise<void>
}

export interface S3ServerOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Where the objects are kept. */
  readonly directory: string
  /** Origins of pages that may talk to the bucket. */
  readonly corsOrigins: readonly string[]
}
