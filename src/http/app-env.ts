import type { Context } from 'hono'
import type { Principal } from '../access/principal.ts'
import type { ErrorCode } from '../errors/api-error.ts'
import type { Settings } from '../settings/settings.ts'
import type { Host, Instance } from './host.ts'

/** What middleware passes to handlers in the Hono apps. */
export interface AppEnv {
  Bindings: { readonly instance: Instance; readonly host: Host }
  Variables: {
    requestId: string
    /** When the response must begin, in milliseconds since 1970. */
    deadline: number
    settings: Settings
    /** Frozen, since the app gets it. */
    principal: Principal
    /** Whether a browser may have added the credential by itself. */
    isAmbient: boolean | undefined
    bucket: string
    cacheStatus: string
    /** Adds members to an error body that the clients of a protocol expect. */
    errorMembers: ((message: string) => object) | undefined
    /** Returns the body of an error as XML, for the clients of a protocol without JSON. */
    errorBody: ((error: ErrorBody) => string) | undefined
    corsHeaders: Readonly<Record<string, string>> | undefined
    /** The response that already has all its headers. */
    complete: Response | undefined
    /** The error that ended the request, for the log. */
    failure: unknown
    /** A problem that did not end the request, for the log. `addWarning` sets it. */
    warning: string | undefined
  }
}

/** The members of every error. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly requestId: string
}

export type AppContext = Context<AppEnv>
