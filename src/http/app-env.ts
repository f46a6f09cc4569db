import type { Context } from 'hono'
import type { Principal } from '../access/principal.ts'
import type { Settings } from '../settings/settings.ts'
import type { Host, Instance } from './host.ts'

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
    failure: unknown
    /**
     * What did not end the request, and someone should see to: for the log. `addWarning` writes it.
     */
    warning: string | undefined
  }
}

export type AppContext = Context<AppEnv>
