import type { Identify } from './http/identify.ts'
import type { newApp } from './http/new-app.ts'
import type { LoadedSettings } from './settings/define.ts'

/** A Hono app from `newApp`. */
export type Routes = ReturnType<typeof newApp>

/**
 * A feature that an app may leave out: a plain object that a function such as `files()` returns. The
 * core calls its members at these places and nowhere else. It imports no plugin.
 */
export interface Plugin {
  /** The name of its function. Issues name it. */
  readonly name: string
  /** Plugins that it was given. They are registered with it. */
  readonly plugins?: readonly Plugin[]
  /**
   * Routes without the core's credentials, for links, secrets of its own and the like. They have the
   * request id, the log line, CORS and the deadline, and call `configure` themselves.
   */
  readonly open?: Routes
  /**
   * Routes behind `admit`, at their path and below `/u/:token`. `c.get('principal')` sends the
   * request. Which route answers depends only on the paths. Two plugins can't have the same one.
   */
  readonly api?: Routes
  /**
   * Finds the principal of one kind of credential. The credential in a request picks the plugin. Next
   * to the app's `authenticate`, only one whose credentials the presigner itself makes is allowed.
   */
  readonly identify?: Identify
  /** A last check of the settings, for what needs a promise. Runs with each request. */
  readonly ready?: (loaded: LoadedSettings) => LoadedSettings | Promise<LoadedSettings>
}
