import type { Context, Env, ExecutionContext } from 'hono'
import { HonoBase } from 'hono/hono-base'
import { LinearRouter } from 'hono/router/linear-router'
import { type AppPrincipal, type Principal, principalOfApp } from './access/principal.ts'
import { app as routes } from './app.ts'
import { edgeObjects, stubIn } from './cloudflare/edge-objects.ts'
import { directObjects } from './delivery/object-source.ts'
import { ApiError, asApiError, type Issue } from './errors/api-error.ts'
import { describe } from './errors/describe.ts'
import type { WarningText } from './errors/warnings.ts'
import { type FileIndex, noFileIndex } from './file-index/file-index.ts'
import type {
  FileEvent,
  Host,
  Instance,
  LogLine,
  NewFile,
  RateLimiter,
  UploadChanges,
} from './http/host.ts'
import { keepEach, loadedBy, nameOf, type SettingsFor } from './settings/define.ts'

// biome-ignore-start lint/performance/noBarrelFile: the entry of the package
export type { AppPrincipal, Principal } from './access/principal.ts'
export type { Scope } from './access/scopes.ts'
export {
  type ErrorCode,
  type Issue,
  isPresignerError,
  type PresignerError,
} from './errors/api-error.ts'
export type { FileIndex } from './file-index/file-index.ts'
export type { FileRecord } from './file-index/file-record.ts'
export type { FileEvent, LogLine, NewFile, RateLimiter, UploadChanges } from './http/host.ts'
export { defineSettings, type SettingsFor, type SettingsInput } from './settings/define.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package

/** What a presigner needs besides its settings. Everything is optional. */
export interface PresignerOptions<E extends Env = Env> {
  /**
   * Where records of files are kept; without it, nothing is listed. Called once for each environment,
   * or once altogether if it takes none: `() => index`.
   */
  fileIndex?: (env: E['Bindings']) => FileIndex
  /**
   * Counts requests by principal, and by network where there is none. Without it, no limit. Called
   * as `fileIndex` is.
   */
  rateLimiter?: (env: E['Bindings']) => RateLimiter
  /**
   * Says who asks, by the app's own login; a falsy result is 401. Tokens that this presigner minted
   * stay valid beside it. Without it, API keys and JWTs of the settings apply.
   */
  authenticate?: (c: Context<E>) => Falsy<AppPrincipal> | Promise<Falsy<AppPrincipal>>
  /** Sees each new upload before anything is signed; may change or refuse it. */
  beforeUpload?: (
    file: NewFile,
    principal: Principal,
    c: Context<E>,
  ) => undefined | UploadChanges | Promise<undefined | UploadChanges>
  /** Learns what has happened to a file. The client's answer waits for it, and fails if it throws. */
  onEvent?: (event: FileEvent, context: EventContext<E>) => void | Promise<void>
  /** Takes the line of each request; without it, the console gets it as JSON. May fail unheard. */
  log?: (line: LogLine) => void
  /**
   * Whether nothing but this presigner answers on its origin, so that links may show text, PDF and fonts
   * there too. Without it, they show images, audio and video, unless links have a host to themselves.
   */
  ownsOrigin?: boolean
  /**
   * Name under which the Worker exports the entrypoint with the edge cache: `Objects` unless given.
   * Null reads from the bucket each time, as where there is no such export.
   */
  objectsEntrypoint?: string | null
}

type Falsy<T> = T | null | undefined | false | '' | 0

export interface EventContext<E extends Env = Env> {
  readonly env: E['Bindings']
  /** Keeps work alive that the client's answer need not wait for. */
  waitUntil(work: Promise<unknown>): void
}

export interface Presigner<E extends Env = Env> {
  /** One route with everything behind it: `host.route('/media', presigner.app)`. */
  readonly app: HonoBase<E>
  /** Answers a request without a host, at the root of an origin. */
  fetch(request: Request, env: E['Bindings'], context?: ExecutionContext): Promise<Response>
}

/**
 * A presigner for the buckets in `settings`: mount its `app` in yours. It has its own router,
 * variables, errors and headers, and leaves those of the host alone. Whatever your functions throw
 * ends in an answer of the presigner, and never in your own `onError`.
 */
export function createPresigner<E extends Env = Env>(
  settings: SettingsFor<E['Bindings']>,
  options: PresignerOptions<E> = {},
): Presigner<E> {
  const instanceFor = instancesOf(settings, options)
  const app = new HonoBase<E>({ router: new LinearRouter() })
  app.all('*', (c) => {
    const instance = instanceFor(c.env)
    return routes.fetch(c.req.raw, { instance, host: hostOf(c, instance, options) }, contextOf(c))
  })
  const { authenticate, beforeUpload, onEvent } = options
  const isAlone = !(authenticate || beforeUpload || onEvent)
  const answerAlone = (request: Request, instance: Instance, context: ExecutionContext) => {
    const host = sharesOrigin(instance, options) ? SHARED : ALONE
    return routes.fetch(request, { instance, host }, context)
  }
  return {
    app,
    fetch: (request, env, context = NO_CONTEXT) =>
      Promise.resolve(
        isAlone
          ? answerAlone(request, instanceFor(env), context)
          : app.fetch(request, env, context),
      ),
  }
}

/** The instance for each environment; one whose settings are not valid is made again each time. */
function instancesOf<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  { fileIndex, rateLimiter, ...options }: PresignerOptions<E>,
): (env: E['Bindings']) => Instance {
  const made = {
    ...options,
    ...(fileIndex && { fileIndex: keepEach(fileIndex) }),
    ...(rateLimiter && { rateLimiter: keepEach(rateLimiter) }),
  }
  const instances = new WeakMap<object, Instance>()
  return (env) => {
    const owner = typeof env === 'object' && env !== null ? env : options
    const instance = instances.get(owner) ?? createInstance(settings, made, env)
    if (instance.settings.ok) instances.set(owner, instance)
    return instance
  }
}

function createInstance<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  { fileIndex, rateLimiter, log, objectsEntrypoint = 'Objects' }: PresignerOptions<E>,
  env: E['Bindings'],
): Instance {
  const loaded = loadedBy(settings, env)
  const issues: Issue[] = []
  const make = <T>(
    path: string,
    create: ((env: E['Bindings']) => T) | undefined,
    without: T,
    method: string,
  ): T => {
    // A binding that the settings call missing is not asked for.
    if (!loaded.ok || create === undefined) return without
    try {
      const made = create(env)
      if (typeof Object(made)[method] === 'function') return made
      issues.push({ path, message: `is missing: what it returned has no ${method}()` })
      return without
    } catch (error) {
      // Another error's message may hold a secret.
      const known = asApiError(error)
      const message = known?.message ?? `could not be created: ${nameOf(error)}`
      issues.push({ path, message })
      return without
    }
  }
  const made = {
    fileIndex: make('fileIndex', fileIndex, noFileIndex, 'list'),
    rateLimiter: make<RateLimiter | null>('rateLimiter', rateLimiter, null, 'limit'),
  }
  return {
    ...made,
    settings: issues.length === 0 ? loaded : { ok: false, issues },
    log: log === undefined ? (line) => console.log(JSON.stringify(line)) : harmless(log),
    objects(context) {
      const stub = objectsEntrypoint === null ? null : stubIn(context, objectsEntrypoint)
      return stub === null ? directObjects : edgeObjects(stub)
    },
  }
}

/** `log`, whose failure, at once or later, is for the console alone. */
function harmless(log: (line: LogLine) => unknown): (line: LogLine) => void {
  const report = (error: unknown) => {
    const warning: WarningText = `The presigner's log failed: ${describe(error)}`
    console.error(warning)
  }
  return (line) => {
    try {
      const done = log(line)
      if (done instanceof Promise) done.catch(report)
    } catch (error) {
      report(error)
    }
  }
}

const ALONE: Host = {
  mountPath: '',
  sharesOrigin: false,
  authenticate: null,
  beforeUpload: null,
  onEvent: null,
}
const SHARED: Host = { ...ALONE, sharesOrigin: true }

/** Whether the bytes of links come from an origin that something else answers on. */
const sharesOrigin = <E extends Env>(
  { settings: loaded }: Instance,
  { ownsOrigin = false }: PresignerOptions<E>,
): boolean => !ownsOrigin && !(loaded.ok && loaded.settings.linkHostOnly)

function hostOf<E extends Env>(
  c: Context<E>,
  instance: Instance,
  options: PresignerOptions<E>,
): Host {
  const { authenticate, beforeUpload, onEvent } = options
  return {
    mountPath: mountPathOf(c),
    sharesOrigin: sharesOrigin(instance, options),
    authenticate:
      authenticate === undefined
        ? null
        : async () => {
            const principal = await call(() => authenticate(c))
            return principal ? principalOfApp(principal) : null
          },
    beforeUpload:
      beforeUpload === undefined
        ? null
        : (file, principal) => call(() => beforeUpload(file, principal, c)),
    onEvent:
      onEvent === undefined
        ? null
        : (event) => {
            const { env } = c
            const context = contextOf(c)
            const waitUntil = (work: Promise<unknown>) => context.waitUntil(work)
            return call(() => onEvent(event, { env, waitUntil }))
          },
  }
}

/**
 * What a function of the app returns. What it throws ends the request: an error of this package, of
 * whichever copy, by its code; Hono's HTTPException 401 and 403 as `unauthenticated` and `forbidden`;
 * anything else as `internal`, with the reason in the log alone.
 */
async function call<T>(act: () => T | Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (thrown) {
    const known = asApiError(thrown)
    if (known !== null) throw known
    const status =
      thrown instanceof Error && 'getResponse' in thrown && Reflect.get(thrown, 'status')
    if (status === 401)
      throw new ApiError('unauthenticated', 'Valid credentials are required.', { cause: thrown })
    if (status === 403) throw new ApiError('forbidden', 'The app refuses this.', { cause: thrown })
    throw thrown
  }
}

/**
 * The segments of the URL, as they are written, that the host's route takes. They are counted from
 * the end of the path: a host whose `getPath` puts something in front, such as its name, has more of
 * them than the URL. Hono's `routePath(c)` can't say the route: the host may have another copy of Hono.
 */
function mountPathOf(c: Context): string {
  const path = /^[^:]+:\/\/[^/?#]+([^?#]*)/.exec(c.req.raw.url)?.[1] ?? ''
  const behind =
    segmentsOf(c.req.path).length - segmentsOf(c.req.routePath.replace(/\*$/, '')).length
  const segments = segmentsOf(path)
  return segments.slice(0, segments.length - behind).join('/')
}

/** The segments of a path, the empty one in front included; slashes at its end make none. */
const segmentsOf = (path: string): string[] => path.replace(/\/+$/, '').split('/')

/** Where there is no execution context, as on Node, work that is waited for just goes on. */
function contextOf(c: Context): ExecutionContext {
  try {
    return c.executionCtx
  } catch {
    return NO_CONTEXT
  }
}

const NO_CONTEXT: ExecutionContext = {
  waitUntil: (work) => void Promise.resolve(work).catch(() => undefined),
  passThroughOnException: () => undefined,
  props: {},
}
