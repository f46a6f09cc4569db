import type { Context, Env, ExecutionContext } from 'hono'
import { HonoBase } from 'hono/hono-base'
import { LinearRouter } from 'hono/router/linear-router'
import { type AppPrincipal, type Principal, principalOfApp } from './access/principal.ts'
import { app as routes } from './app.ts'
import { DEFAULT_IMAGE_SIZES } from './bucket/image-size.ts'
import { edgeObjects, stubIn } from './cloudflare/edge-objects.ts'
import { type QueueBatch, runJobs } from './cloudflare/job-queue.ts'
import { consumeNotifications } from './cloudflare/notification-queue.ts'
import { fetchIsPublic } from './cloudflare/runtime.ts'
import { directObjects } from './delivery/object-source.ts'
import type { ImageResizer } from './delivery/variant.ts'
import { within } from './delivery/within.ts'
import { ApiError, asApiError, type Issue } from './errors/api-error.ts'
import { describe } from './errors/describe.ts'
import { logWarning, type Warning, type WarningText } from './errors/warnings.ts'
import { announcerTo, type Later } from './events/announcer.ts'
import type { FileEvent } from './events/file-event.ts'
import { type JobMessage, jobMessage } from './events/job.ts'
import { type FileIndex, noFileIndex } from './file-index/file-index.ts'
import type { Host, Instance, LogLine, NewFile, RateLimiter, UploadChanges } from './http/host.ts'
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
export type { FileEvent } from './events/file-event.ts'
export type { FileIndex } from './file-index/file-index.ts'
export type { FileRecord } from './file-index/file-record.ts'
export type { LogLine, NewFile, RateLimiter, UploadChanges } from './http/host.ts'
export { defineSettings, type SettingsFor, type SettingsInput } from './settings/define.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package

/** Options of a presigner, in addition to its settings. All of them are optional. */
export interface PresignerOptions<E extends Env = Env> {
  /**
   * Returns the index that stores records of files. Without it, files can't be listed. Called once
   * for each environment, or only once if it has no parameter: `() => index`.
   */
  fileIndex?: (env: E['Bindings']) => FileIndex
  /**
   * Returns the rate limiter. It counts requests by principal, or by network without one. Without
   * it, there is no limit. Called like `fileIndex`.
   */
  rateLimiter?: (env: E['Bindings']) => RateLimiter
  /**
   * Returns the principal of the app's own login. A falsy result is 401. Tokens from this presigner
   * stay valid. Without it, the API keys and JWTs in the settings apply.
   */
  authenticate?: (c: Context<E>) => Falsy<AppPrincipal> | Promise<Falsy<AppPrincipal>>
  /** Called for each new upload before anything is signed. Can change or refuse it. */
  beforeUpload?: (
    file: NewFile,
    principal: Principal,
    c: Context<E>,
  ) => undefined | UploadChanges | Promise<undefined | UploadChanges>
  /**
   * Called for a change to a file, before the index changes. The response waits for it. If it
   * throws, the response is 503 `events_unavailable`, the index stays as it is, and a repeat calls it
   * again. What it returns for `recorded` and `replaced` is the member `data` of the response.
   */
  onEvent?: (event: FileEvent, context: EventContext<E>) => unknown
  /**
   * Returns the queue for webhooks, such as `env.EVENTS`, or a falsy value for none. Call
   * `presigner.queue` from your Worker's `queue` handler. Called like `fileIndex`.
   */
  jobQueue?: (env: E['Bindings']) => Falsy<JobQueue>
  /**
   * Start of the names of queues that `presigner.queue` handles. Default: `edge-presigner-jobs`.
   */
  jobQueueName?: string
  /**
   * Start of the names of queues with R2's event notifications, which `presigner.queue` handles too.
   * Default: `edge-presigner-notifications`.
   */
  notificationQueueName?: string
  /**
   * Called with the log line of each request. Default: writes JSON to the console. Its errors don't
   * affect the response.
   */
  log?: (line: LogLine) => void
  /**
   * Whether only this presigner uses its origin. Links then also show text, PDF and fonts there.
   * Otherwise, they show images, audio and video, unless a separate host serves the links.
   */
  ownsOrigin?: boolean
  /**
   * Name of the Worker's export with the edge cache. Default: `Objects`. With null, or without that
   * export, each link reads from the bucket.
   */
  objectsEntrypoint?: string | null
  /**
   * Returns the Images binding, if links can show resized images. `objectsEntrypoint` needs it too.
   */
  images?: (env: E['Bindings']) => ImageResizer | null | undefined
}

/** The longest wait for the queue, in milliseconds. */
const QUEUE_TIMEOUT = 10_000

/** A queue of Cloudflare Queues. */
export interface JobQueue {
  sendBatch(messages: { body: JobMessage }[]): Promise<unknown>
}

const NO_QUEUE: JobQueue = { sendBatch: async () => {} }

type Falsy<T> = T | null | undefined | false | '' | 0

export interface EventContext<E extends Env = Env> {
  readonly env: E['Bindings']
  /** Keeps work running after the response. */
  waitUntil(work: Promise<unknown>): void
}

export interface Presigner<E extends Env = Env> {
  /** A Hono app to mount: `host.route('/media', presigner.app)`. */
  readonly app: HonoBase<E>
  /** Handles a request without a host app, at the root of an origin. */
  fetch(request: Request, env: E['Bindings'], context?: ExecutionContext): Promise<Response>
  /**
   * Handles a batch of Cloudflare Queues, and acknowledges or retries each message. Resolves with
   * false for the batch of another queue, which it doesn't touch.
   */
  queue(batch: QueueBatch, env: E['Bindings'], context?: ExecutionContext): Promise<boolean>
}

/**
 * Creates a presigner for the buckets in `settings`. Mount its `app` in yours. It has its own
 * router, variables, errors and headers, and doesn't change those of the host. If your functions
 * throw, the presigner sends the response. Your own `onError` is not called.
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
  const {
    authenticate,
    beforeUpload,
    jobQueueName = 'edge-presigner-jobs',
    notificationQueueName = 'edge-presigner-notifications',
  } = options
  const isAlone = !(authenticate || beforeUpload)
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
    async queue(batch, env, context = NO_CONTEXT) {
      const hasNotifications = batch.queue.startsWith(notificationQueueName)
      if (!hasNotifications && !batch.queue.startsWith(jobQueueName)) return false
      const instance = instanceFor(env)
      const objects = instance.objects(context)
      if (hasNotifications)
        await consumeNotifications(batch, instance, objects, context, new Date())
      else await runJobs(batch, instance.settings, objects)
      return true
    },
  }
}

/**
 * Returns the instance for each environment. Creates an instance with invalid settings again for
 * each request.
 */
function instancesOf<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  { fileIndex, rateLimiter, jobQueue, ...options }: PresignerOptions<E>,
): (env: E['Bindings']) => Instance {
  const made = {
    ...options,
    ...(fileIndex && { fileIndex: keepEach(fileIndex) }),
    ...(rateLimiter && { rateLimiter: keepEach(rateLimiter) }),
    ...(jobQueue && { jobQueue: keepEach(jobQueue) }),
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
  {
    fileIndex,
    rateLimiter,
    jobQueue,
    onEvent,
    log,
    images,
    objectsEntrypoint = 'Objects',
  }: PresignerOptions<E>,
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
    // Don't use a binding that the settings report as missing.
    if (!loaded.ok || create === undefined) return without
    try {
      const made = create(env)
      if (typeof Object(made)[method] === 'function') return made
      issues.push({ path, message: `must return an object with ${method}()` })
      return without
    } catch (error) {
      // The message of another error may contain a secret.
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
  const orNone = jobQueue && ((one: E['Bindings']) => jobQueue(one) || NO_QUEUE)
  const queue = make('jobQueue', orNone, NO_QUEUE, 'sendBatch')
  const later: Later | null =
    queue === NO_QUEUE
      ? null
      : async (...jobs) => {
          const messages = jobs.map((job) => ({ body: jobMessage(job) }))
          await within(QUEUE_TIMEOUT, queue.sendBatch(messages))
        }
  const webhooks = loaded.ok ? loaded.settings.webhooks : []
  const warnings: Warning[] = []
  if (webhooks.length > 0 && later === null) {
    warnings.push('webhooks are not queued')
    logWarning('webhooks are not queued', { reason: 'each has one attempt' })
  }
  const fetchesWorkers = webhooks.length > 0 || (loaded.ok && loaded.settings.jwt?.jwksUrl)
  if (fetchesWorkers && !fetchIsPublic()) warnings.push('fetch is not strictly public')
  const resizesImages = loaded.ok && Boolean(images?.(env))
  if (loaded.ok && !resizesImages && loaded.settings.imageSizes !== DEFAULT_IMAGE_SIZES)
    warnings.push('images are not resized')
  return {
    ...made,
    resizesImages,
    later,
    warnings,
    events: announcerTo({
      onEvent:
        onEvent === undefined
          ? null
          : (event, background) =>
              onEvent(event, { env, waitUntil: (work) => background.waitUntil(work) }),
      webhooks,
      later,
    }),
    settings: issues.length === 0 ? loaded : { ok: false, issues },
    log: log === undefined ? (line) => console.log(JSON.stringify(line)) : harmless(log),
    objects(context) {
      const stub = objectsEntrypoint === null ? null : stubIn(context, objectsEntrypoint)
      return stub === null ? directObjects : edgeObjects(stub)
    },
  }
}

/** Returns `log` with its errors caught, also asynchronous ones. They only go to the console. */
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
}
const SHARED: Host = { ...ALONE, sharesOrigin: true }

/** Tells whether something else uses the origin of links. */
const sharesOrigin = <E extends Env>(
  { settings: loaded }: Instance,
  { ownsOrigin = false }: PresignerOptions<E>,
): boolean => !ownsOrigin && !(loaded.ok && loaded.settings.linkHostOnly)

function hostOf<E extends Env>(
  c: Context<E>,
  instance: Instance,
  options: PresignerOptions<E>,
): Host {
  const { authenticate, beforeUpload } = options
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
  }
}

/**
 * Resolves with the result of an app's function. An error ends the request. An error from any copy
 * of this package keeps its code. Hono's HTTPException 401 and 403 become `unauthenticated` and
 * `forbidden`. Anything else becomes `internal`, with the reason only in the log.
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
    if (status === 403) throw new ApiError('forbidden', 'The app refused this.', { cause: thrown })
    throw thrown
  }
}

/**
 * Returns the undecoded URL segments of the host's route. Counts them from the end of the path,
 * since a host's `getPath` may add segments before the path, such as its host name. Hono's
 * `routePath(c)` can't be used, since the host may have another copy of Hono.
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
