import type { Context, Env, ExecutionContext } from 'hono'
import { HonoBase } from 'hono/hono-base'
import { routePath } from 'hono/route'
import { LinearRouter } from 'hono/router/linear-router'
import { type AppPrincipal, type Principal, principalOfApp } from './access/principal.ts'
import { app as routes } from './app.ts'
import { edgeObjects, stubIn } from './cloudflare/edge-objects.ts'
import { directObjects } from './delivery/object-source.ts'
import { type FileIndex, noFileIndex } from './file-index/file-index.ts'
import type { Host, Instance } from './http/app-env.ts'
import type { RateLimiter } from './http/rate-limit.ts'
import type { LogLine } from './http/request-log.ts'
import type { FileEvent, NewFile, UploadChanges } from './http/uploads.ts'
import { loadedBy, type SettingsFor } from './settings/define.ts'

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
export type { RateLimiter } from './http/rate-limit.ts'
export type { LogLine } from './http/request-log.ts'
export type { FileEvent, NewFile, UploadChanges } from './http/uploads.ts'
export { defineSettings, type SettingsFor, type SettingsInput } from './settings/define.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package

/** What a presigner needs besides its settings. Everything is optional. */
export interface PresignerOptions<E extends Env = Env> {
  /** Where records of files are kept; without it, nothing is listed. */
  fileIndex?: (env: E['Bindings']) => FileIndex
  /** Counts requests by principal, and by network where there is none; without it, nobody does. */
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
  /** Takes the line of each request; without it, the console gets it as JSON. */
  log?: (line: LogLine) => void
  /** Name under which the Worker exports the entrypoint with the edge cache. */
  objectsEntrypoint?: string
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
  /** Answers a request as a server of its own, at the root of an origin. */
  fetch(request: Request, env: E['Bindings'], context?: ExecutionContext): Promise<Response>
}

/**
 * A presigner for the buckets in `settings`: mount its `app` in yours. It has its own router,
 * variables, errors and headers, and leaves those of the host alone.
 */
export function createPresigner<E extends Env = Env>(
  settings: SettingsFor<E['Bindings']>,
  options: PresignerOptions<E> = {},
): Presigner<E> {
  const instances = new WeakMap<object, Instance>()
  const instanceFor = (env: E['Bindings']): Instance => {
    const owner = env ?? options
    const instance = instances.get(owner) ?? createInstance(settings, options, env)
    instances.set(owner, instance)
    return instance
  }
  const app = new HonoBase<E>({ router: new LinearRouter() })
  app.all('*', (c) => {
    const instance = instanceFor(c.env)
    return routes.fetch(c.req.raw, { instance, host: hostOf(c, instance, options) }, contextOf(c))
  })
  const { authenticate, beforeUpload, onEvent } = options
  const isAlone = !(authenticate || beforeUpload || onEvent)
  return {
    app,
    async fetch(request, env, context = NO_CONTEXT) {
      if (!isAlone) return app.fetch(request, env, context)
      return routes.fetch(request, { instance: instanceFor(env), host: NO_HOST }, context)
    },
  }
}

function createInstance<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  { fileIndex, rateLimiter, log, objectsEntrypoint = 'Objects' }: PresignerOptions<E>,
  env: E['Bindings'],
): Instance {
  const loaded = loadedBy(settings, env)
  return {
    settings: loaded,
    // A binding that the settings call missing is not asked for.
    fileIndex: loaded.ok && fileIndex ? fileIndex(env) : noFileIndex,
    rateLimiter: loaded.ok && rateLimiter ? rateLimiter(env) : null,
    log: log ?? ((line) => console.log(JSON.stringify(line))),
    objects(context) {
      const stub = stubIn(context, objectsEntrypoint)
      return stub === null ? directObjects : edgeObjects(stub)
    },
  }
}

const NO_HOST: Host = {
  mountPath: '',
  sharesOrigin: false,
  authenticate: null,
  beforeUpload: null,
  onEvent: null,
}

function hostOf<E extends Env>(
  c: Context<E>,
  { settings: loaded }: Instance,
  { authenticate, beforeUpload, onEvent }: PresignerOptions<E>,
): Host {
  return {
    mountPath: mountPathOf(c),
    sharesOrigin: !(loaded.ok && loaded.settings.linkHostOnly),
    authenticate:
      authenticate === undefined
        ? null
        : async () => {
            const principal = await authenticate(c)
            return principal ? principalOfApp(principal) : null
          },
    beforeUpload:
      beforeUpload === undefined
        ? null
        : async (file, principal) => (await beforeUpload(file, principal, c)) ?? {},
    onEvent:
      onEvent === undefined
        ? null
        : async (event) => {
            const context = contextOf(c)
            await onEvent(event, {
              env: c.env,
              waitUntil: (work) => context.waitUntil(work),
            })
          },
  }
}

/** The segments of the URL, as they are written, that the host's route takes. */
function mountPathOf(c: Context): string {
  const segments =
    routePath(c)
      .replace(/\/?\*$/, '')
      .split('/').length - 1
  return (/^[^:]+:\/\/[^/?]+((?:\/[^/?]*)*)/.exec(c.req.raw.url)?.[1] ?? '')
    .split('/')
    .slice(0, segments + 1)
    .join('/')
}

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
