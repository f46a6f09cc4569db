import type { RouterRoute } from 'hono/types'
import type { Check, Reserve } from './http/host.ts'
import type { Identify } from './http/identify.ts'
import type { LoadedSettings } from './settings/define.ts'

/**
 * A Hono app, from `newApp` or one of the app's own. Only its routes count: its `onError` and
 * `notFound` are never called. A parameter takes one segment, `:key` more, and `*` can only be the last
 * segment. A middleware that returns nothing goes on, with or without `next()`: to refuse a request,
 * it returns a response or throws. The type has no methods, since plugins share their apps.
 */
export interface Routes {
  readonly routes: readonly RouterRoute[]
}

/**
 * A feature that an app may leave out: a plain object that a function such as `files()` returns. The
 * core calls its members at these places and nowhere else. It imports no plugin.
 */
export interface Plugin {
  /** The name of its function. Issues name it. */
  readonly name: string
  /** Functions have a name too: `files` is not a plugin, `files()` is. */
  readonly call?: never
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
  /** May refuse an upload or a delete, after `beforeUpload` or `beforeDelete`. Changes nothing. */
  readonly check?: Check
  /**
   * Runs after the checks of all plugins, in the order of the plugins. If a later one fails, or the
   * change itself, the undos run in reverse order.
   */
  readonly reserve?: Reserve
  /** A last check of the settings, for what needs a promise. Runs with each request. */
  readonly ready?: (loaded: LoadedSettings) => LoadedSettings | Promise<LoadedSettings>
}
