import type { RouterRoute } from 'hono/types'
import type { Warning } from './errors/warnings.ts'
import type { Seams } from './http/app-env.ts'
import type { Rule } from './settings/rules.ts'
import type { Settings } from './settings/settings.ts'

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
 * core calls its members at these places and nowhere else. It imports no plugin. `N` has the plugins that
 * it needs, such as `{ multipart: Multipart }`.
 */
export interface Plugin<in B = unknown, in N = never> {
  /** The name of its function. Issues name it. */
  readonly name: string
  /** Functions have a name too: `files` is not a plugin, `files()` is. */
  readonly call?: never
  /** The names of plugins that must be in the same list, at any place. It gets them as `needed`. */
  readonly needs?: readonly (keyof N & string)[]
  /** Plugins that are options of this one. They are registered with it. */
  readonly plugins?: readonly Plugin<B>[]
  /**
   * Routes without the core's credentials, for links, a plugin's own secrets and the like. They have
   * the request id, the log line, CORS and the deadline, and call `configure` themselves.
   */
  readonly open?: Routes | ((needed: N) => Routes)
  /**
   * Routes behind `admit`, at their path and below `/u/:token`. `c.get('principal')` sends the
   * request. Which route answers depends only on the paths. Two plugins can't have the same one.
   */
  readonly api?: Routes | ((needed: N) => Routes)
  /**
   * Reads its options, once for each environment, and returns what it adds there. Reports mistakes
   * with `setup.issue`. An error that it throws is an issue too.
   */
  readonly setup?: (setup: Setup<B>, needed: N) => Partial<Seams>
}

/** An option of a plugin: a value, or a function of the environment. */
export type Option<T, B> = T | ((env: B) => T)

export type Falsy<T> = T | null | undefined | false | '' | 0

/** One environment, for a plugin that reads its options. */
export interface Setup<out B = unknown> {
  readonly env: B
  /** Identifies the presigner in this environment, for `Kept`. */
  readonly id: object
  /** All settings. Null if they are invalid: then the presigner answers no request. */
  readonly settings: Settings | null
  /** Milliseconds that a function of the app may take. */
  readonly appMilliseconds: number
  /** Adds an issue, which makes every route 503 `misconfigured`. `/healthz` has it. */
  issue(path: string, message: string): void
  /** Adds a warning for `/healthz`. */
  warn(warning: Warning): void
  /** Adds an issue if `options` has members that are not in `known`. */
  only(path: string, options: object, known: readonly string[]): void
  /**
   * Returns the value of an option that `rule` accepts, or null. Undefined is null without an issue. A Worker
   * of `createWorker` reads an undefined option from its `variable`, as a table or JSON text.
   */
  read<T>(path: string, given: Option<unknown, B>, rule: Rule<T>, variable?: string): T | null
  /**
   * Returns an object with this method, such as a binding, or null for a falsy value. A function is
   * called once for each environment. With `isNeeded`, one that returns a falsy value is an issue. Null
   * too if the settings are invalid, which may be because of the same binding.
   */
  bind<T extends object>(
    path: string,
    given: Option<Falsy<T>, B>,
    method: keyof T & string,
    isNeeded?: boolean,
  ): T | null
}
