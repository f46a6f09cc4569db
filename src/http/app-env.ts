import type { Context, ExecutionContext } from 'hono'
import type { Minter } from '../access/minter.ts'
import type { Principal } from '../access/principal.ts'
import type { Verdict } from '../access/verdict.ts'
import type { ErrorCode } from '../errors/api-error.ts'
import type { WarningText } from '../errors/warnings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { After } from '../records/file-event.ts'
import type { FileIndex } from '../records/file-index.ts'
import type { Enqueue, QueueBatch } from '../records/job.ts'
import type { LoadedSettings } from '../settings/define.ts'
import type { Settings } from '../settings/settings.ts'
import type { ObjectSource } from '../storage/object-source.ts'
import type { Check, Host, LogLine, RateLimiter, Reserve, Settle, Step } from './host.ts'

/** What a plugin adds to a presigner in one environment. All members are optional. */
export interface Seams {
  /**
   * Finds the principal of one kind of credential. The credential in a request picks the plugin. Next
   * to the app's `authenticate`, only one whose credentials the presigner itself makes is allowed.
   */
  readonly identify: Identify
  /** What credentials of this kind may do now, for tokens and steps that they have made earlier. */
  readonly minter: Minter
  /** A last check of the settings, for what needs a promise. Runs with each request. */
  readonly ready: (loaded: LoadedSettings) => LoadedSettings | Promise<LoadedSettings>
  /** Keeps records of files. Only one plugin may have it. */
  readonly fileIndex: FileIndex
  /** Returns the source of objects for a request. Only one plugin may have it. */
  readonly objects: (context: ExecutionContext) => ObjectSource
  /** Returns warnings for `/healthz` that depend on the execution context of a request. */
  readonly warnings: (context: ExecutionContext) => readonly WarningText[]
  /** Queues work that failed, to repeat it. Only one plugin may have it. */
  readonly enqueue: Enqueue
  /** May refuse an upload or a delete, after `beforeUpload` or `beforeDelete`. Changes nothing. */
  readonly check: Check
  /** Runs after all checks, in the order of the list. After a failure, the undos run in reverse. */
  readonly reserve: Reserve
  /**
   * Asked before parts of an upload are signed, listed or completed, before it is aborted, and before a
   * call that continues a copy in parts.
   */
  readonly step: Step
  /**
   * Called with what the bucket has done, before `after`. May refuse to record it, like a check. For a
   * repeat, it is called again.
   */
  readonly settle: Settle
  /**
   * Called for each change to a file, after the bucket has changed and before the index does. If it
   * throws, the index stays as it is, and a repeat of the request calls it again: at least once.
   * Has the same time as functions of the app. The first result that is not undefined is `data` in
   * the response.
   */
  readonly after: ((...change: Parameters<After>) => ReturnType<After> | Promise<void>) &
    Pick<After, 'requests'>
  /** Ends what is shared below a prefix, for the plugin `userData`. */
  readonly erase: Erase
  /**
   * Handles the batches of each queue of Cloudflare Queues whose name starts with `name`. If several
   * match, the longest does.
   */
  readonly queue: {
    readonly name: string
    readonly handle: (
      batch: QueueBatch,
      instance: Instance,
      context: ExecutionContext,
    ) => Promise<void>
  }
  /** Runs at a time of a Cron Trigger. */
  readonly scheduled: (
    event: ScheduledEvent,
    instance: Instance,
    context: ExecutionContext,
  ) => Promise<void>
}

/** What all plugins of a presigner add in one environment, in the order of its list of plugins. */
export type SeamLists = { readonly [Name in keyof Seams]: readonly Seams[Name][] }

/** What `POST /files/delete-all` deletes. */
export interface Below {
  /** Alias. */
  readonly bucket: string
  /** Spellings of one prefix. */
  readonly prefixes: readonly string[]
  /** Only what is older than this, in milliseconds since 1970. */
  readonly before: number
  /** Whether to count only. */
  readonly dryRun: boolean
}

/** A position in a list, or null for its start. */
export type ListPosition = { readonly id: string; readonly at: number } | null

/** Ends a page of what is shared, from `start` on. `next` is null after the last page. */
export type Erase = (
  c: AppContext,
  below: Below,
  start: ListPosition,
) => Promise<{
  readonly ended: number
  /** Whether some can't be read now. */
  readonly hasFailed: boolean
  readonly next: ListPosition
}>

/** The seams that may also belong to one credential, so that nobody else pays for them. */
export type UploadSeams = Pick<Seams, 'reserve' | 'step' | 'settle'>

/** An upload in parts that the bucket has begun. */
export interface BegunUpload {
  readonly key: ObjectKey
  readonly s3UploadId: string
}

/**
 * For a credential whose uploads are written once: each comes in parts, with a generated key and the upload
 * mark.
 */
export interface WriteOnce {
  /** Called with each upload in parts. If it throws, the upload is aborted. */
  readonly began: (upload: BegunUpload) => Promise<void>
}

/** A run of a Cron Trigger. */
export interface ScheduledEvent {
  /** Milliseconds since 1970. */
  readonly scheduledTime: number
  readonly cron: string
}

/** One presigner in one environment. */
export interface Instance extends Pick<Seams, 'ready' | 'fileIndex' | 'objects' | 'warnings'> {
  /** Identifies the instance, for `Kept`. */
  readonly id: object
  /** The names of its plugins, for clients. */
  readonly plugins: readonly string[]
  readonly settings: LoadedSettings
  /** In `identify`, ambient credentials come last. In `queue`, the longest name comes first. */
  readonly seams: SeamLists
  /** Those of `identify` whose credentials the presigner itself makes. */
  readonly own: readonly BearerKind[]
  /** Null if there is no limit. */
  readonly rateLimiter: RateLimiter | null
  /** Null if nobody listens. */
  readonly after: After | null
  /** Null without a queue. */
  readonly enqueue: Enqueue | null
  readonly log: (line: LogLine) => void
  /** Milliseconds that each function of the app, and each operation of the index, may take. */
  readonly appMilliseconds: number
}

/**
 * What a plugin has read of its options, for each environment. Its routes exist before any environment
 * does, so they find its options here.
 */
export class Kept<T> {
  readonly #values = new WeakMap<object, T>()

  /** Returns `value`, after keeping it for the environment of this `setup`. */
  keep({ id }: Pick<Instance, 'id'>, value: T): T {
    this.#values.set(id, value)
    return value
  }

  /** Returns undefined for a presigner without the plugin. */
  of({ id }: Pick<Instance, 'id'>): T | undefined {
    return this.#values.get(id)
  }
}

/** What is known of a request that is asked who sends it. */
export interface Call {
  readonly c: AppContext
  readonly settings: Settings
  readonly now: Date
  /** To be called before a request to another server. */
  readonly beforeFetch: () => Promise<void>
}

/** Finds the principal of bearer credentials by how they start. */
export interface BearerKind {
  /** How they start. No prefix of another plugin may start like this, or the order would matter. */
  readonly prefix: string
  /**
   * Whether the presigner itself made them. They may also be in the path, below `/u/`, and apply next
   * to the app's `authenticate`, which switches all other credentials off.
   */
  readonly isOwn?: true
  /** Tells whether the host that serves only links answers a request that its own pages need. */
  readonly onLinkHost?: (c: AppContext, settings: Settings) => boolean
  readonly verify: (credential: string, call: Call) => Verdict | Promise<Verdict>
  /** Whether `verify` only computes, so that it needs no time limit, which costs a timer. */
  readonly isLocal?: true
}

/** Finds the principal of another credential, such as one in its own header. */
export interface OtherKind {
  /**
   * Whether browsers add it by themselves, such as a cookie. Pages of other origins may not use it to
   * change something or open a WebSocket. A GET changes nothing.
   */
  readonly ambient?: true
  /** The name of its header, for clients that ask which headers they may send. */
  readonly header?: string | undefined
  /** Returns undefined for a request without such a credential. */
  readonly find: (call: Call) => Verdict | Promise<Verdict> | undefined
}

export type Identify = BearerKind | OtherKind

/** What middleware passes to handlers in the Hono apps. */
export interface AppEnv {
  /** One object for each request. The map of variables is twice as large from five of them on. */
  Bindings: {
    readonly instance: Instance
    readonly host: Host
    /** When the response must begin, in milliseconds since 1970. `frame` sets it. */
    deadline: number
    /** The response that already has all its headers. */
    complete?: Response
    /** The header with the principal's tag, after `admit`. */
    userTag?: { readonly 'X-User-Tag': string }
  }
  Variables: {
    requestId: string
    settings: Settings
    /** Frozen, since the app gets it. */
    principal: Principal
    /** Whether a browser may have added the credential by itself. */
    isAmbient: boolean | undefined
    bucket: string
    /** What a credential adds to the uploads of its principal, after the plugins. */
    uploadSeams: UploadSeams | undefined
    writeOnce: WriteOnce | undefined
    /** Who counts for the rate limit instead of the principal, if several people are one. */
    countAs: string | undefined
    cacheStatus: string
    /** Adds members to an error body that the clients of a protocol expect. */
    errorMembers: ((message: string) => object) | undefined
    /** Returns the response for an error, for clients that don't read JSON. It has all its headers. */
    errorResponse: ErrorResponse | undefined
    corsHeaders: Readonly<Record<string, string>> | undefined
    /** The error that ended the request, for the log. */
    failure: unknown
    /** A problem that did not end the request, for the log. `addWarning` sets it. */
    warning: string | undefined
  }
}

/** Returns the response for an error. */
export type ErrorResponse = (
  error: ErrorBody,
  status: number,
  headers: Readonly<Record<string, string>>,
) => Response

/** The members of every error. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly requestId: string
}

export type AppContext = Context<AppEnv>
