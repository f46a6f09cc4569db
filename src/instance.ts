import type { Context, Env } from 'hono'
import type { Principal } from './access/principal.ts'
import { ApiError, asApiError, type Issue, isObject, unknownMembers } from './errors/api-error.ts'
import { APP_MILLISECONDS, within } from './errors/deadline.ts'
import { classOf, describe, stackOf } from './errors/describe.ts'
import type { WarningText } from './errors/warnings.ts'
import type { Instance, SeamLists, Seams } from './http/app-env.ts'
import type { AppPrincipal } from './http/app-principal.ts'
import type {
  DeleteAnswer,
  DeletedFile,
  DownloadAnswer,
  LogLine,
  NewFile,
  RateLimiter,
  SharedFile,
  UploadChanges,
} from './http/host.ts'
import { isOwn } from './http/identify.ts'
import type { Joined } from './join-plugins.ts'
import type { Falsy, Option, Plugin, Setup } from './plugin.ts'
import type { After } from './records/file-event.ts'
import { noFileIndex } from './records/file-index.ts'
import {
  keepEach,
  type LoadedSettings,
  requireSettings,
  type SettingsFor,
  settingsApart,
} from './settings/define.ts'
import { BROKEN, quiet, TYPESCRIPT, whole } from './settings/rules.ts'
import type { ObjectSource } from './storage/object-source.ts'

/** What `createPresigner` has without type arguments. */
export interface AnyEnv {
  Bindings: object
  Variables: object
}

/** Options of a presigner, in addition to its settings. All of them are optional. */
export interface PresignerOptions<E extends Env = AnyEnv> {
  /**
   * The features to have besides URLs, such as `files()` and `links()`. The order of those of this package doesn't
   * matter. That of your own does if several answer: `reserve` runs in this order, and its undos in reverse. Of
   * `identify.find` and `minter`, the first result counts, and of `after` the first one for `data` in the response.
   */
  plugins?: readonly Plugin<E['Bindings']>[]
  /**
   * The rate limiter, or a function that returns it, which is called once for each environment object.
   * It counts requests by principal, or by network without one. Without it, there is no limit.
   */
  rateLimiter?: Option<RateLimiter, E['Bindings']>
  /**
   * Returns the principal of the app's own login. A falsy result is 401. Tokens from this presigner
   * stay valid. Without it, the plugins `apiKeys()` and `jwt()` say who sends a request.
   */
  authenticate?: (c: Context<E>) => Falsy<AppPrincipal> | Promise<Falsy<AppPrincipal>>
  /**
   * Called for each new upload before anything is signed. Can change or refuse it. The user is
   * `principal`: a request with a token may have another user's cookie in `c`.
   */
  beforeUpload?: (
    file: NewFile,
    principal: Principal,
    c: Context<E>,
  ) => Nothing | UploadChanges | Promise<Nothing | UploadChanges>
  /**
   * Called for each file that is to be deleted, before anything is deleted. Can refuse it. The
   * principal is null for a file without an owner that an operator deletes (`kind` is `upkeep`). Not called for an object that an upload replaces: `beforeUpload` gets that with `overwrite`.
   */
  beforeDelete?: (
    file: DeletedFile,
    principal: Principal | null,
    c: Context<E>,
  ) => Nothing | DeleteAnswer | Promise<Nothing | DeleteAnswer>
  /**
   * Called for each file that a client wants to read, before its URL or link is signed. Can refuse
   * it. Not called when somebody opens a link, which works until it expires.
   */
  beforeDownload?: (
    file: SharedFile,
    principal: Principal,
    c: Context<E>,
  ) => Nothing | DownloadAnswer | Promise<Nothing | DownloadAnswer>
  /**
   * Called with the log line of each request. Default: writes JSON to the console. Its errors don't
   * affect the response.
   */
  log?: (line: LogLine) => void
  /**
   * The path of the presigner without a host app, such as `/api/media`. Default: the root. If you
   * mount `presigner.app` below a path, that path applies instead.
   */
  basePath?: string
  /**
   * Seconds that `authenticate`, `beforeUpload`, `beforeDelete`, `beforeDownload`, `onEvent` and each
   * operation of the index may take: 1 to 25. Default: 10.
   */
  appTimeoutSeconds?: number
}

/** Whether a member is a function or an object, or what `bind` or a rule accepts. */
type Kinds<Name extends string> = Readonly<Record<Name, 'function' | 'object' | 'other'>>

const OPTIONS: Kinds<keyof PresignerOptions> = {
  plugins: 'other',
  rateLimiter: 'other',
  authenticate: 'function',
  beforeUpload: 'function',
  beforeDelete: 'function',
  beforeDownload: 'function',
  log: 'function',
  basePath: 'other',
  appTimeoutSeconds: 'other',
}

/** A misspelt check, or one that is no function, would let everything pass. */
const SEAMS: Kinds<keyof Seams> = {
  identify: 'object',
  minter: 'function',
  check: 'function',
  reserve: 'function',
  step: 'function',
  settle: 'function',
  erase: 'function',
  after: 'function',
  ready: 'function',
  fileIndex: 'object',
  objects: 'function',
  warnings: 'function',
  enqueue: 'function',
  queue: 'object',
  scheduled: 'function',
}

/** A request has no more time itself. */
const MAX_APP_SECONDS = 25

// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is an answer
type Nothing = void | undefined

/** Returns each environment's instance. Creates one with invalid settings again per request. */
export function instancesOf<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  options: PresignerOptions<E>,
  plugins: readonly Joined<E['Bindings']>[],
  known: readonly Issue[],
): (env: E['Bindings']) => Instance {
  const load = settingsApart(settings)
  const instances = new WeakMap<object, Instance>()
  // A plugin may make a function for each environment.
  const kept = new WeakMap<object, (env: E['Bindings']) => unknown>()
  /** Returns the value of an option, of a function only once for each environment. */
  const evaluate = (given: unknown, env: E['Bindings']): unknown => {
    if (!isFunction<E['Bindings']>(given)) return given
    const once = kept.get(given) ?? keepEach(given)
    kept.set(given, once)
    return quiet(once(env))
  }
  return (env) => {
    const owner = typeof env === 'object' && env !== null ? env : options
    const instance =
      instances.get(owner) ?? createInstance(load(env), options, env, { plugins, known }, evaluate)
    if (instance.settings.ok) instances.set(owner, instance)
    return instance
  }
}

const isFunction = <B>(given: unknown): given is (env: B) => unknown => typeof given === 'function'

/** What is wrong with the options in one environment. */
interface Problems {
  readonly issues: Issue[]
  /** What functions of the app have thrown, with stacks. Only for the log. */
  readonly thrown: string[]
  readonly warnings: Set<WarningText>
}

/** Returns what plugins read their options with. It adds to `problems`. */
function setupIn<B>(
  env: B,
  loaded: LoadedSettings,
  { issues, thrown, warnings }: Problems,
  evaluate: (given: unknown, env: B) => unknown,
): Omit<Setup<B>, 'appMilliseconds'> & { attempt<T>(path: string, work: () => T): T | null } {
  const issue = (path: string, message: string) => void issues.push({ path, message })
  const attempt = <T>(path: string, work: () => T): T | null => {
    try {
      return quiet(work())
    } catch (error) {
      // The message of another error may contain a secret.
      const known = asApiError(error)
      const isKnown = known?.reason === 'settings'
      // The settings have reported it already.
      if (!isKnown || loaded.ok) {
        issue(path, isKnown ? known.message : `could not be created: ${classOf(error)}`)
        thrown.push(stackOf(error))
      }
      return null
    }
  }
  return {
    env,
    id: {},
    settings: loaded.ok ? loaded.settings : null,
    issue,
    attempt,
    warn: (warning) => void warnings.add(warning),
    only(path, given, names) {
      const unknown = unknownMembers(Object(given), names, true)
      if (unknown !== null) issue(path, unknown)
    },
    read: (path, given, rule) =>
      attempt(path, () => {
        const value = isFunction<B>(given) ? quiet(given(env)) : given
        if (value === undefined) return null
        const result = rule(value, { path, issues, words: TYPESCRIPT, uses: [] })
        return result === BROKEN ? null : result
      }),
    bind<T extends object>(
      path: string,
      given: unknown,
      method: keyof T & string,
      isNeeded = false,
    ): T | null {
      // Don't use a binding that the settings report as missing.
      if (!loaded.ok) return null
      return attempt(path, () => {
        const made = evaluate(given, env)
        if (!made && !(isNeeded && given)) return null
        if (typeof Object(made)[method] === 'function') return made as T
        issue(path, `must return an object with ${method}()`)
        return null
      })
    },
  }
}

/** The plugins, with what is wrong in every environment. */
interface Prepared<B> {
  readonly plugins: readonly Joined<B>[]
  readonly known: readonly Issue[]
}

function createInstance<E extends Env>(
  loaded: LoadedSettings,
  options: PresignerOptions<E>,
  env: E['Bindings'],
  { plugins, known }: Prepared<E['Bindings']>,
  evaluate: (given: unknown, env: E['Bindings']) => unknown,
): Instance {
  const { rateLimiter, authenticate, log, appTimeoutSeconds = APP_MILLISECONDS / 1000 } = options
  const { issues: given, thrown: before = [] } = loaded.ok ? NO_FAILURE : loaded
  const issues = [...given, ...known]
  const thrown = [...before]
  const warnings = new Set<WarningText>()
  const { attempt, ...readers } = setupIn(env, loaded, { issues, thrown, warnings }, evaluate)
  const { issue, only, read, bind } = readers
  const seconds = read('appTimeoutSeconds', appTimeoutSeconds, whole(1, MAX_APP_SECONDS)) ?? 0
  const setup: Setup<E['Bindings']> = { ...readers, appMilliseconds: seconds * 1000 }
  /** Adds an issue for unknown members, and for each that is not of its kind. */
  const requireKinds = (path: string, given: object, kinds: Kinds<string>, before = '') => {
    only(path, given, Object.keys(kinds))
    for (const [name, kind] of Object.entries(kinds)) {
      const made: unknown = Reflect.get(given, name) ?? undefined
      if (made !== undefined && kind !== 'other' && typeof made !== kind)
        issue(before + name, `must be a ${kind}`)
    }
  }
  requireKinds('options', options, OPTIONS)
  // A misspelt option may be `plugins`.
  let isLost = issues.length > given.length
  const names = plugins.map(({ name }) => name)
  const parts = plugins.map((plugin): Partial<Seams> => {
    const { name } = plugin
    const part = attempt(name, () => plugin.setup(setup))
    isLost ||= part === null
    // A promise, or a seam outside of setup, would add no check, so everything would pass.
    const isOdd = part && !isObject(part)
    if (isOdd || Object.keys(SEAMS).some((seam) => seam in plugin))
      issue(name, 'must return an object with its seams from setup')
    requireKinds(`${name}.setup`, part ?? {}, SEAMS, `${name}.setup.`)
    return part ?? {}
  })
  const seams = listSeams(parts)
  const one = <Name extends keyof Seams>(name: Name): Seams[Name] | undefined => {
    const [first, second] = seams[name]
    if (second) issue('plugins', `must have only one ${name}`)
    return first
  }
  for (const [i, { identify }] of parts.entries())
    if (authenticate && identify && !isOwn(identify))
      issue('plugins', `must not have ${names[i]}() next to authenticate`)
  for (const { path, plugin } of loaded.ok ? loaded.uses : [])
    if (!plugin.split('() or ').some((name) => names.includes(name)))
      warnings.add(`plugin missing: ${path} needs ${plugin}()`)
  // What a client sends on purpose comes before what its browser adds.
  const identify = seams.identify.toSorted(
    (a, b) => Number('ambient' in a) - Number('ambient' in b),
  )
  // The longest name wins.
  const queue = [...seams.queue, ...(isLost ? [LOST] : [])].toSorted(
    (a, b) => b.name.length - a.name.length,
  )
  const starts = identify.flatMap((one) => ('prefix' in one ? [one.prefix] : [])).toSorted()
  if (starts.some((start, i) => starts[i + 1]?.startsWith(start)))
    issue('plugins', 'must not share a prefix')
  const instance = {
    id: setup.id,
    plugins: names,
    rateLimiter: bind<RateLimiter>('rateLimiter', rateLimiter, 'limit', true),
    seams: { ...seams, identify, queue },
    own: identify.filter(isOwn),
    ready: seams.ready.reduce(andThen, (given) => given),
    fileIndex: one('fileIndex') ?? noFileIndex,
    objects: one('objects') ?? (() => NO_OBJECTS),
    enqueue: one('enqueue') ?? null,
    after: seams.after.length === 0 ? null : eachOf(seams.after, setup.appMilliseconds),
    appMilliseconds: setup.appMilliseconds,
    warnings: (...context: Parameters<Seams['warnings']>) => [
      ...warnings,
      ...seams.warnings.flatMap((seam) => seam(...context)),
    ],
    log:
      typeof log === 'function'
        ? harmless(log)
        : (line: LogLine) => console.log(JSON.stringify(line)),
  }
  return { ...instance, settings: issues.length === 0 ? loaded : { ok: false, issues, thrown } }
}

/** Returns what all plugins have made, by the names of the seams. */
const listSeams = (parts: readonly Partial<Seams>[]): SeamLists =>
  Object.fromEntries(
    Object.keys(SEAMS).map((name) => [
      name,
      parts.map((part): unknown => Reflect.get(part, name) ?? null).filter((made) => made !== null),
    ]),
  ) as { readonly [Name in keyof Seams]: never[] }

const NO_FAILURE: Omit<LoadedSettings & { ok: false }, 'ok'> = { issues: [] }

/** A presigner without links keeps no copies, and has no route that reads an object. */
const NO_OBJECTS: ObjectSource = {
  keepsCopies: false,
  open: () => Promise.reject(new Error('No links')),
  purge: () => Promise.resolve(),
}

/** Any queue may be that of a plugin that could not be set up, so its batch must stay. */
const LOST: Seams['queue'] = {
  name: '',
  async handle(_batch, { settings }) {
    requireSettings(settings)
  },
}

/** Seconds until the app may accept an event that it has just refused. */
const EVENTS_RETRY_SECONDS = 5

/** Calls all in order, for the first result. Throws `unavailable`, also if one is late. */
const eachOf = (all: readonly Seams['after'][], milliseconds: number): After =>
  Object.assign(
    async (...change: Parameters<After>) => {
      let data: Awaited<ReturnType<After>>
      try {
        for (const after of all) {
          const result = await within<unknown>(milliseconds, after(...change))
          if (data === undefined) data = result as typeof data
        }
      } catch (cause) {
        throw new ApiError(
          'unavailable',
          'The app could not be notified of this change, so the index did not change. Try again.',
          { reason: 'events', cause, retryAfterSeconds: EVENTS_RETRY_SECONDS },
        )
      }
      return data
    },
    { requests: all.reduce((sum, { requests = 1 }) => sum + requests, 0) },
  )

/** Returns a function that checks settings with both, without a promise if neither needs one. */
const andThen =
  (one: Instance['ready'], two: Instance['ready']): Instance['ready'] =>
  (given) => {
    const checked = one(given)
    return checked instanceof Promise ? checked.then(two) : two(checked)
  }

/** Returns `log` with its errors caught, also asynchronous ones. They only go to the console. */
function harmless(log: (line: LogLine) => unknown): (line: LogLine) => void {
  const report = (error: unknown) => {
    const warning: WarningText = `The presigner's log failed: ${describe(error)}`
    console.error(warning)
  }
  return (line) => void (async () => log(line))().catch(report)
}
