import type { Principal } from '../access/principal.ts'
import type { Settings } from '../settings/settings.ts'

/** What the Worker's Hono apps carry from middleware to handler. */
export interface AppEnv {
  Bindings: Env
  Variables: {
    requestId: string
    config: Settings
    principal: Principal
    /** Alias of the bucket that a handler works on: for the log. */
    bucket: string
    /** Whether the edge had a copy, as `Cache-Status` says it: for the log. */
    cacheStatus: string
    /** Whose shape errors have; undefined is our own. */
    dialect: 'uppy' | undefined
    /** What ended the request early: for the log. */
    fault: Error
    /**
     * What did not end the request, and someone should see to: for the log. `addWarning` writes it.
     */
    warning: string
  }
}
