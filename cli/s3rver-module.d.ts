declare module '@20minutes/s3rver/lib/models/error.js' {
  export default class S3Error extends Error {
    readonly code: string
    constructor(code: string, message: string)
  }
}

declare module '@20minutes/s3rver/lib/models/account.js' {
  export default class AWSAccount {
    /** Accounts by the id of an access key. */
    static readonly registry: ReadonlyMap<string, AWSAccount>
    static readonly DUMMY_ACCOUNT: AWSAccount
    /** Secrets by the id of their access key. */
    readonly accessKeys: ReadonlyMap<string, string>
    createKeyPair(accessKeyId: string, secretAccessKey: string): void
  }
}

declare module '@20minutes/s3rver/lib/models/object.js' {
  import type { Readable } from 'node:stream'

  export default class S3Object {
    readonly bucket: string
    readonly key: string
    readonly content: Readable
    readonly metadata: Readonly<Record<string, string>>
    readonly size: number
    readonly lastModifiedDate: Date
    constructor(
      bucket: string,
      key: string,
      content: Buffer | Readable,
      metadata: Readonly<Record<string, string>>,
    )
  }
}

declare module '@20minutes/s3rver/lib/controllers/object.js' {
  import type { Context } from '@20minutes/s3rver'

  type Operation =
    | 'postObject'
    | 'uploadPart'
    | 'putObjectCopy'
    | 'uploadPartCopy'
    | 'completeMultipartUpload'
    | 'deleteMultipleObjects'

  const controller: Record<Operation, (ctx: Context) => Promise<void>>
  export default controller
}

declare module '@20minutes/s3rver/lib/controllers/bucket.js' {
  import type { Context } from '@20minutes/s3rver'

  const controller: { getBucket(ctx: Context): Promise<void> }
  export default controller
}

declare module '@20minutes/s3rver/lib/routes.js' {
  import type { Middleware } from '@20minutes/s3rver'

  /** The members of Koa's router that are used here. */
  const router: {
    readonly stack: { readonly path: unknown; readonly methods: readonly string[] }[]
    get(path: string, middleware: Middleware): void
    delete(path: string, middleware: Middleware): void
  }
  export default router
}

declare module '@20minutes/s3rver/lib/stores/filesystem.js' {
  import type { Readable } from 'node:stream'
  import type S3Object from '@20minutes/s3rver/lib/models/object.js'

  export default class FilesystemStore {
    static decodeKeyPath(path: string): string
    readonly rootDirectory: string
    getBucketPath(bucket: string): string
    getResourcePath(bucket: string, key: string | undefined, resource: string): string
    /** Writes a file. Resolves with its size and its MD5 in hex. */
    putContent(path: string, content: Buffer | Readable): Promise<readonly [number, string]>
    /** Rejects if the object is missing. */
    getMetadata(bucket: string, key: string): Promise<Readonly<Record<string, string>>>
    putObject(object: S3Object): Promise<{ readonly md5: string }>
    listObjects(
      bucket: string,
      options: {
        readonly prefix: string
        readonly delimiter: string
        readonly startAfter: string
        readonly maxKeys: number
      },
    ): Promise<{
      readonly objects: readonly S3Object[]
      readonly commonPrefixes: readonly string[]
      readonly isTruncated: boolean
    }>
    existsObject(bucket: string, key: string): Promise<boolean>
    deleteObject(bucket: string, key: string): Promise<void>
    getObject(bucket: string, key: string, options: object): Promise<unknown>
    /** `replacement` is null if the copy keeps the metadata of its source. */
    copyObject(
      sourceBucket: string,
      sourceKey: string,
      bucket: string,
      key: string,
      replacement: S3Object['metadata'] | null,
    ): Promise<unknown>
    initiateUpload(
      bucket: string,
      key: string,
      uploadId: string,
      metadata: S3Object['metadata'],
    ): Promise<unknown>
    putPart(
      bucket: string,
      uploadId: unknown,
      partNumber: unknown,
      content: Readable,
    ): Promise<unknown>
    putObjectMultipart(
      bucket: string,
      uploadId: unknown,
      parts: readonly { readonly number: number; readonly etag: string }[],
    ): Promise<{ readonly md5: string }>
  }
}

declare module '@20minutes/s3rver/lib/signature/v4.js' {
  interface CanonicalRequest {
    readonly querystring: string
  }

  const v4: {
    getStringToSign(request: CanonicalRequest, signature: unknown): string
    getSigningKey(secretAccessKey: string, date: string, region: string, service: string): Buffer
  }
  export default v4
}

declare module '@20minutes/s3rver' {
  import type { IncomingMessage, Server } from 'node:http'
  import type FilesystemStore from '@20minutes/s3rver/lib/stores/filesystem.js'

  interface Options {
    address: string
    port: number
    directory: string
    silent: boolean
    vhostBuckets: boolean
    configureBuckets: { name: string; configs: string[] }[]
  }

  /** The members of Koa's context that are used here. */
  interface Context {
    readonly req: IncomingMessage
    readonly method: string
    readonly host: string
    readonly path: string
    readonly query: Readonly<Record<string, string | string[] | undefined>>
    /** `queryMethod` is the name of the parameter that chooses an operation, such as `uploadId`. */
    readonly params: {
      readonly bucket: string
      readonly key: string
      readonly queryMethod?: string
    }
    readonly state: { service?: 's3' }
    store: FilesystemStore
    status: number
    body: unknown
    etag: string
    set(header: string, value: string): void
  }

  type Middleware = (ctx: Context, next: () => Promise<void>) => Promise<void>

  export default class S3rver {
    readonly httpServer: Server
    readonly middleware: Middleware[]
    constructor(options: Options)
    run(): Promise<{ port: number }>
    close(): Promise<void>
  }
}
