import type { Context, ExecutionContext } from 'hono'
import type { Principal } from '../access/principal.ts'
import type { ObjectSource } from '../delivery/object-source.ts'
import type { FileIndex } from '../file-index/file-index.ts'
import type { LoadedSettings } from '../settings/define.ts'
import type { Settings } from '../settings/settings.ts'
import type { RateLimiter } from './rate-limit.ts'
import type { LogLine } from './request-log.ts'
import type { FileEvent, NewFile } from './uploads.ts'

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

/** What the Hono apps carry from middleware to handler. */
export interface AppEnv {
  Bindings: { readonly instance: Instance; readonly host: Host }
  Variables: {
    requestId: string
    settings: Settings
    principal: Principal
    /** Alias of the bucket that a handler works on: for the log. */
    bucket: string
    /** Whether the edge had a copy, as `Cache-Status` says it: for the log. */
    cacheStatus: string
    /** Adds to the body of an error what the clients of a protocol look for. */
    errorMembers: ((message: string) => object) | undefined
    /** What CORS adds to the answer. */
    corsHeaders: Readonly<Record<string, string>> | undefined
    /** The answer that has all its headers. */
    complete: Response | undefined
    /** What ended the request early: for the log. */
    fault: unknown
    /**
     * What did not end the request, and someone should see to: for the log. `addWarning` writes it.
     */
    warning: string | undefined
  }
}

export type AppContext = Context<AppEnv>
