import type { Context, Env, ExecutionContext } from 'hono'
import { HonoBase } from 'hono/hono-base'
import type { Router } from 'hono/router'
import type { Principal } from './access/principal.ts'
import { createApp } from './app.ts'
import type { Instance, ScheduledEvent, Seams } from './http/app-env.ts'
import { principalOfApp } from './http/app-principal.ts'
import type { Host } from './http/host.ts'
import { type AnyEnv, instancesOf, type PresignerOptions } from './instance.ts'
import { joinPlugins } from './join-plugins.ts'
import type { QueueBatch } from './records/job.ts'
import type { SettingsFor } from './settings/define.ts'
import { BROKEN, deepFreeze, matching, optional, TYPESCRIPT } from './settings/rules.ts'

// biome-ignore-start lint/performance/noBarrelFile: the entry of the package
export type { Principal } from './access/principal.ts'
export type { Scope } from './access/scopes.ts'
export {
  type ErrorCode,
  type Issue,
  isPresignerError,
  type PresignerError,
} from './errors/api-error.ts'
export type { AppPrincipal } from './http/app-principal.ts'
export type {
  DeleteAnswer,
  DeletedFile,
  DownloadAnswer,
  LogLine,
  NewFile,
  RateLimiter,
  SharedFile,
  StoredFile,
  UploadChanges,
} from './http/host.ts'
export type { PresignerOptions } from './instance.ts'
export type { Plugin } from './plugin.ts'
export type { FileEvent } from './records/file-event.ts'
export type { FileIndex } from './records/file-index.ts'
export type { FileRecord } from './records/file-record.ts'
export { type DefinedSettings, defineSettings, type SettingsFor } from './settings/define.ts'
export { settingsFromEnv } from './settings/from-env.ts'
export type { FetchCredentials, SettingsInput } from './settings/input.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package

export interface Presigner<E extends Env = AnyEnv> {
  /** A Hono app to mount: `host.route('/media', presigner.app)`. */
  readonly app: HonoBase<E>
  /** Handles a request without a host app, below `basePath`. */
  fetch(request: Request, env: E['Bindings'], context?: ExecutionContext): Promise<Response>
  /**
   * Handles a batch of Cloudflare Queues, and acknowledges or retries each message. Resolves with
   * false for the batch of a queue that no plugin has, which it doesn't touch. Rejects if a plugin that
   * may have it could not be set up.
   */
  queue(batch: QueueBatch, env: E['Bindings'], context?: ExecutionContext): Promise<boolean>
  /** Runs what plugins do at the times of Cron Triggers. Resolves with false if none does anything. */
  scheduled(event: ScheduledEvent, env: E['Bindings'], context?: ExecutionContext): Promise<boolean>
  /** The presigner in one environment, for a plugin's own entrypoint. */
  instance(env: E['Bindings']): Instance
}

/**
 * Creates a presigner for the buckets in `settings`. Mount its `app` in yours. It has its own
 * router, variables, errors and headers, and doesn't change those of the host. If your functions
 * throw, the presigner sends the response. Your own `onError` is not called.
 */
export function createPresigner<B extends object = object, V extends object = object>(
  settings: SettingsFor<B>,
  options: PresignerOptions<{ Bindings: B; Variables: V }> = {},
): Presigner<{ Bindings: B; Variables: V }> {
  type E = { Bindings: B; Variables: V }
  const { plugins, issues } = joinPlugins(options.plugins ?? [])
  const routes = createApp(plugins)
  const basePath = basePathRule(options.basePath, {
    path: 'basePath',
    issues,
    words: TYPESCRIPT,
    uses: [],
  })
  const instanceFor = instancesOf(settings, options, plugins, issues)
  /** With an invalid base path, every path that ends with `/healthz` says so. */
  const baseOf = ({ url }: Request) =>
    basePath === BROKEN ? new URL(url).pathname.replace(/\/[^/]*$/, '') : basePath
  const app = new HonoBase<E>({ router: everyPath() })
  app.all('*', async (c) => {
    const mountPath = mountPathOf(c) || baseOf(c.req.raw)
    const env = { instance: instanceFor(c.env), host: hostOf(c, mountPath, options) }
    return withHeadersOf(c, await routes.fetch(c.req.raw, env, contextOf(c)))
  })
  const alone = basePath === BROKEN ? null : hostOf(ALONE, basePath, options)
  // Without functions of the app, nothing needs the context.
  const isAlone = alone !== null && !Object.values(alone).some((one) => typeof one === 'function')
  return {
    app,
    fetch: (request, env, context = NO_CONTEXT) =>
      Promise.resolve(
        isAlone
          ? routes.fetch(request, { instance: instanceFor(env), host: alone }, context)
          : app.fetch(request, env, context),
      ),
    async queue(batch, env, context = NO_CONTEXT) {
      const instance = instanceFor(env)
      const handle = handlerFor(instance, batch.queue)
      await handle?.(batch, instance, context)
      return handle !== undefined
    },
    async scheduled(event, env, context = NO_CONTEXT) {
      const instance = instanceFor(env)
      const runs = instance.seams.scheduled.map(async (run) => run(event, instance, context))
      // Each run ends, even if another one fails.
      await Promise.allSettled(runs)
      await Promise.all(runs)
      return runs.length > 0
    },
    instance: instanceFor,
  }
}

/**
 * Returns what handles a batch of the queue called `name`, or undefined. One whose name starts with that of a
 * plugin's queue and ends with `-dead` has its dead letters, which wait there for a person.
 */
function handlerFor({ seams }: Instance, name: string): Seams['queue']['handle'] | undefined {
  const found = seams.queue.find((one) => name.startsWith(one.name))
  // A plugin that could not be set up has an empty name: the queue may be its own.
  const isDead = found?.name && name.slice(found.name.length).endsWith('-dead')
  return isDead ? undefined : found?.handle
}

/** Returns the router of an app whose only route is `*`. */
function everyPath<Handler>(): Router<Handler> {
  const handlers: [Handler, Record<string, never>][] = []
  return {
    name: 'everyPath',
    add: (_method, _path, handler) => void handlers.push([handler, {}]),
    match: () => [handlers],
  }
}

/** Accepts a path in the one spelling that a request to it has. */
const basePathRule = optional(
  matching(
    /^(\/[\w-][\w.-]*)*$/,
    'must be a path like /api/media, of letters, digits, ".", "_" and "-"',
  ),
  '',
)

/** Stands for the context of a host without functions that would get it. */
const ALONE = null as never

function hostOf<E extends Env>(
  c: Context<E>,
  mountPath: string,
  { authenticate, beforeUpload, beforeDelete, beforeDownload }: PresignerOptions<E>,
): Host {
  /** What a function gets is frozen: the metadata was checked already, and is signed next. */
  const bind = <File, By = Principal>(ask?: (file: File, by: By, c: Context<E>) => unknown) =>
    ask ? async (file: File, by: By) => ask(deepFreeze(file), by, c) : null
  return {
    mountPath,
    authenticate: authenticate
      ? async () => {
          const principal = await authenticate(c)
          return principal ? principalOfApp(principal) : null
        }
      : null,
    beforeUpload: bind(beforeUpload),
    beforeDelete: bind(beforeDelete),
    beforeDownload: bind(beforeDownload),
  }
}

const ALLOWED = 'Access-Control-Allow-Origin'

/**
 * Adds the headers and cookies that a middleware of the host has set, except those that the
 * presigner sets. Hono adds them only to responses of `c.json` and the like. If a middleware has
 * read `c.res`, Hono would also replace the presigner's headers, so that response is removed. CORS
 * headers that don't name the page that the presigner allows are left out: Hono's `cors()` lets
 * every page send credentials, and a page in `corsOrigins` could read with cookies. A 304 changes
 * the headers of what the browser has, so a policy of the host would replace a file's sandbox.
 */
function withHeadersOf(c: Context, response: Response): Response {
  const { headers } = response
  const own = new Set(headers.keys())
  const given = c.body(null).headers
  const page = headers.get(ALLOWED)
  const isForOthers = page !== null && page !== given.get(ALLOWED)
  for (const [name, value] of given)
    if (
      !own.has(name) &&
      !(isForOthers && name.startsWith('access-control-')) &&
      !(response.status === 304 && name.startsWith('content-'))
    )
      headers.append(name, value)
  c.res = undefined
  c.res = response
  return response
}

/**
 * Returns the undecoded segments of the host's route, counted from the end of the path, since a
 * host's `getPath` may add some in front. Hono's `routePath(c)` fails with another copy of Hono.
 */
function mountPathOf(c: Context): string {
  const path = /^[^:]+:\/\/[^/?#]+([^?#]*)/.exec(c.req.raw.url)?.[1] ?? ''
  const behind =
    segmentsOf(c.req.path).length - segmentsOf(c.req.routePath.replace(/\*$/, '')).length
  const segments = segmentsOf(path)
  return segments.slice(0, segments.length - behind).join('/')
}

/** Returns the segments of a path, with the empty first one. Ignores slashes at the end. */
const segmentsOf = (path: string): string[] => path.replace(/\/+$/, '').split('/')

/** Returns the execution context. Without one, as on Node, background work simply continues. */
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
