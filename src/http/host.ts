import type { ExecutionContext } from 'hono'
import type { Principal } from '../access/principal.ts'
import type { ObjectSource } from '../delivery/object-source.ts'
import type { ErrorCode } from '../errors/api-error.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import type { FileRecord } from '../file-index/file-record.ts'
import type { LoadedSettings } from '../settings/define.ts'

/** One presigner, as it works in one environment. */
export interface Instance {
  readonly settings: LoadedSettings
  readonly fileIndex: FileIndex
  /** Null if there is no limit. */
  readonly rateLimiter: RateLimiter | null
  readonly log: (line: LogLine) => void
  /** Where the bytes of objects come from, for a request with this execution context. */
  readonly objects: (context: ExecutionContext) => ObjectSource
}

/** What the app that a presigner is mounted in adds to a request. */
export interface Host {
  /** Path in front of the presigner's own, as it is written in the URL: empty or `/media`. */
  readonly mountPath: string
  /** Whether the bytes of links share their origin with an app. */
  readonly sharesOrigin: boolean
  /** Null where the built-in credentials apply. */
  readonly authenticate: (() => Promise<Principal | null>) | null
  /** Gives `UploadChanges`, unchecked. */
  readonly beforeUpload: ((file: NewFile, principal: Principal) => Promise<unknown>) | null
  readonly onEvent: ((event: FileEvent) => Promise<void>) | null
}

/** A limit for the requests of one key, such as Cloudflare's rate limiting binding. */
export interface RateLimiter {
  limit(request: { key: string }): Promise<{ readonly success: boolean }>
}

/** What the log says of one request. Members that don't apply are missing. */
export interface LogLine {
  readonly requestId?: string | undefined
  readonly method: string
  readonly route?: string | undefined
  readonly status: number
  readonly milliseconds: number
  readonly principal?: string | undefined
  readonly bucket?: string | undefined
  readonly cache?: string | undefined
  readonly warning?: string | undefined
  readonly code?: ErrorCode | undefined
  readonly message?: string | undefined
  readonly reason?: string | undefined
}

/** A file that someone wants to upload. */
export interface NewFile {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly fileName: string
  readonly mimetype: string
  /** Bytes; undefined where the client doesn't say. */
  readonly size?: number | undefined
  readonly directory?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** What the app changes about an upload, before anything is signed; members replace the client's. */
export interface UploadChanges {
  /** Folder under `uploads/`: segments with `/` between. */
  readonly directory?: string | undefined
  /** S3's user-defined metadata; names of a-z, 0-9 and "-". */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Refuses the upload: the client gets `forbidden` with this message. */
  readonly refuse?: string | undefined
}

/** What has happened to a file. It may come twice: `key` and `etag` tell one upload from another. */
export type FileEvent =
  | {
      readonly type: 'recorded' | 'replaced'
      readonly file: FileRecord
      /** Id of the principal. */
      readonly principal: string
    }
  | {
      readonly type: 'deleted'
      readonly file: { readonly bucket: string; readonly key: string }
      readonly principal: string
    }
