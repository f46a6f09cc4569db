import type { Context, Env } from 'hono'
import type { AppPrincipal, Principal } from './access/principal.ts'
import { DEFAULT_IMAGE_SIZES } from './bucket/image-size.ts'
import { asApiError, type Issue, unknownMembers } from './errors/api-error.ts'
import { APP_MILLISECONDS, within } from './errors/deadline.ts'
import { classOf, describe, stackOf } from './errors/describe.ts'
import { logWarning, type Warning, type WarningText } from './errors/warnings.ts'
import type {
  Check,
  DeleteAnswer,
  Instance,
  LogLine,
  NewFile,
  RateLimiter,
  Reserve,
  StoredFile,
  UploadChanges,
} from './http/host.ts'
import type { Identify } from './http/identify.ts'
import { fetchIsPublic, ON_WORKERS } from './http/runtime.ts'
import type { Plugin } from './plugin.ts'
import { announcerTo } from './plugins/events/announcer.ts'
import { directObjects } from './plugins/links/direct-objects.ts'
import { edgeObjects, stubIn } from './plugins/links/edge-objects.ts'
import type { ImageResizer } from './plugins/links/images/variant.ts'
import type { FileEvent } from './records/file-event.ts'
import { type FileIndex, noFileIndex } from './records/file-index.ts'
import { type JobMessage, jobMessage, type Later } from './records/job.ts'
import { keepEach, type LoadedSettings, loadedBy, type SettingsFor } from './settings/define.ts'
import { BROKEN, deepFreeze, TYPESCRIPT, whole } from './settings/rules.ts'

/** Options of a presigner, in addition to its settings. All of them are optional. */
export interface PresignerOptions<E extends Env = Env> {
  /** The features to have besides URLs, such as `files()` and `links()`. Their order doesn't matter. */
  plugins?: readonly Plugin[]
  /**
   * The index that stores records of files, or a function that returns it. A function is called once
   * for each environment object. Without it, files can't be listed.
   */
  fileIndex?: FileIndex | ((env: E['Bindings']) => FileIndex)
  /**
   * The rate limiter, or a function like `fileIndex`. It counts requests by principal, or by network
   * without one. Without it, there is no limit.
   */
  rateLimiter?: RateLimiter | ((env: E['Bindings']) => RateLimiter)
  /**
   * Returns the principal of the app's own login. A falsy result is 401. Tokens from this presigner
   * stay valid. Without it, the API keys and JWTs in the settings apply.
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
   * Called for each file that a client wants to delete, before anything is deleted. Can refuse it.
   * Not called for an object that an upload replaces: `beforeUpload` gets that with `overwrite`.
   */
  beforeDelete?: (
    file: StoredFile,
    principal: Principal,
    c: Context<E>,
  ) => Nothing | DeleteAnswer | Promise<Nothing | DeleteAnswer>
  /**
   * Called for a change to a file: after the bucket has stored or deleted its object, and before the
   * index changes. The response waits for it. If it throws, the response is 503
   * `events_unavailable`, the index stays as it is, and a repeat calls it again. If it returns
   * `{ data }` for `recorded` or `replaced`, and nothing else, the response has `data`, as JSON.
   */
  onEvent?: (event: FileEvent, context: EventContext<E>) => unknown
  /**
   * The queue for webhooks, or a function like `fileIndex` that returns it, such as `env.EVENTS`, or
   * a falsy value for none. Call `presigner.queue` from your Worker's `queue` handler.
   */
  jobQueue?: JobQueue | ((env: E['Bindings']) => Falsy<JobQueue>)
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
  /**
   * Seconds that `authenticate`, `beforeUpload`, `beforeDelete`, `onEvent` and each operation of the
   * index may take: 1 to 25. Default: 10.
   */
  appTimeoutSeconds?: number
}

/** The names of all options. */
const OPTIONS = Object.keys({
  plugins: 0,
  fileIndex: 0,
  rateLimiter: 0,
  authenticate: 0,
  beforeUpload: 0,
  beforeDelete: 0,
  onEvent: 0,
  jobQueue: 0,
  jobQueueName: 0,
  notificationQueueName: 0,
  log: 0,
  ownsOrigin: 0,
  objectsEntrypoint: 0,
  images: 0,
  appTimeoutSeconds: 0,
} satisfies Record<keyof PresignerOptions, 0>)

/** The longest wait for the queue, in milliseconds. */
const QUEUE_MILLISECONDS = 10_000
/** A request has no more time itself. */
const MAX_APP_SECONDS = 25

/** A queue of Cloudflare Queues. */
export interface JobQueue {
  sendBatch(messages: { body: JobMessage }[]): Promise<unknown>
}

// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is an answer
type Nothing = void | undefined

type Falsy<T> = T | null | undefined | false | '' | 0

export interface EventContext<E extends Env = Env> {
  readonly env: E['Bindings']
  /** Keeps work running after the response. */
  waitUntil(work: Promise<unknown>): void
}

/**
 * Returns the instance for each environment. Creates an instance with invalid settings again for
 * each request.
 */
export function instancesOf<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  { fileIndex, rateLimiter, jobQueue, ...options }: PresignerOptions<E>,
  plugins: readonly Plugin[],
  pluginIssues: readonly Issue[],
): (env: E['Bindings']) => Instance {
  const unknown = unknownMembers(options, OPTIONS)
  const known = [
    ...(unknown === null ? [] : [{ path: 'options', message: unknown }]),
    ...pluginIssues,
    ...plugins.flatMap(({ name, identify }) =>
      options.authenticate && identify && !('isOwn' in identify)
        ? [{ path: 'plugins', message: `must not have ${name}() next to authenticate` }]
        : [],
    ),
  ]
  const made = {
    ...options,
    ...(fileIndex && { fileIndex: keepOption<E, FileIndex>(fileIndex) }),
    ...(rateLimiter && { rateLimiter: keepOption<E, RateLimiter>(rateLimiter) }),
    ...(jobQueue && { jobQueue: keepOption<E, Falsy<JobQueue>>(jobQueue) }),
  }
  const instances = new WeakMap<object, Instance>()
  // On Node, each request has its own environment, and so its own instance.
  let hasWarned = false
  return (env) => {
    const owner = typeof env === 'object' && env !== null ? env : options
    const instance = instances.get(owner) ?? createInstance(settings, made, env, plugins, known)
    if (instance.settings.ok) instances.set(owner, instance)
    if (!hasWarned && instance.warnings.includes('webhooks are not queued')) {
      hasWarned = true
      logWarning('webhooks are not queued', { reason: 'each has one attempt' })
    }
    return instance
  }
}

/** Returns a function that returns the value of an option, also if it is the value itself. */
const keepOption = <E extends Env, T>(
  given: T | ((env: E['Bindings']) => T),
): ((env: E['Bindings']) => T) => (isFunction(given) ? keepEach(given) : () => given)

const isFunction = <E, T>(given: T | ((env: E) => T)): given is (env: E) => T =>
  typeof given === 'function'

type Options = 'fileIndex' | 'rateLimiter' | 'jobQueue'

/** The options, with these three as functions. */
type MadeOptions<E extends Env> = Omit<PresignerOptions<E>, Options> & {
  [Name in Options]?: Extract<PresignerOptions<E>[Name], (env: E['Bindings']) => unknown>
}

function createInstance<E extends Env>(
  settings: SettingsFor<E['Bindings']>,
  {
    fileIndex,
    rateLimiter,
    jobQueue,
    authenticate,
    onEvent,
    log,
    images,
    objectsEntrypoint = 'Objects',
    appTimeoutSeconds = APP_MILLISECONDS / 1000,
  }: MadeOptions<E>,
  env: E['Bindings'],
  plugins: readonly Plugin[],
  known: readonly Issue[],
): Instance {
  const loaded = loadedBy(settings, env)
  const issues: Issue[] = loaded.ok ? [...known] : [...loaded.issues, ...known]
  const thrown = loaded.ok ? [] : [...(loaded.thrown ?? [])]
  for (const name of ['apiKeys', 'jwt'] as const)
    if (
      loaded.ok &&
      !authenticate &&
      [loaded.settings[name] ?? []].flat().length > 0 &&
      !plugins.some((plugin) => plugin.name === name)
    )
      issues.push({ path: name, message: `needs the plugin ${name}()` })
  const make = <T>(
    path: string,
    create: ((env: E['Bindings']) => T) | undefined,
    without: T,
    method: string,
    mayLack = false,
  ): T => {
    // Don't use a binding that the settings report as missing.
    if (!loaded.ok || create === undefined) return without
    try {
      const made = create(env)
      if (mayLack && !made) return without
      if (typeof Object(made)[method] === 'function') return made
      issues.push({ path, message: `must return an object with ${method}()` })
      return without
    } catch (error) {
      // The message of another error may contain a secret.
      const known = asApiError(error)
      const isKnown = known?.code === 'misconfigured'
      const message = isKnown ? known.message : `could not be created: ${classOf(error)}`
      issues.push({ path, message })
      thrown.push(stackOf(error))
      return without
    }
  }
  const place = { path: 'appTimeoutSeconds', issues, words: TYPESCRIPT }
  const seconds = whole(1, MAX_APP_SECONDS)(appTimeoutSeconds, place)
  const appMilliseconds = seconds === BROKEN ? APP_MILLISECONDS : seconds * 1000
  const made = {
    fileIndex: make('fileIndex', fileIndex, noFileIndex, 'list'),
    rateLimiter: make<RateLimiter | null>('rateLimiter', rateLimiter, null, 'limit'),
  }
  const queue = make<Falsy<JobQueue>>('jobQueue', jobQueue, null, 'sendBatch', true)
  const later: Later | null = !queue
    ? null
    : async (...jobs) => {
        const messages = jobs.map((job) => ({ body: jobMessage(job) }))
        await within(QUEUE_MILLISECONDS, queue.sendBatch(messages))
      }
  const webhooks = loaded.ok ? loaded.settings.webhooks : []
  const warnings: Warning[] = []
  if (webhooks.length > 0 && later === null) warnings.push('webhooks are not queued')
  const fetchesWorkers = webhooks.length > 0 || (loaded.ok && loaded.settings.jwt?.jwksUrl)
  if (fetchesWorkers && !fetchIsPublic()) warnings.push('fetch is not strictly public')
  const resizesImages = Boolean(
    make<ImageResizer | null | undefined>('images', images, null, 'input', true),
  )
  if (loaded.ok && !resizesImages && loaded.settings.imageSizes !== DEFAULT_IMAGE_SIZES)
    warnings.push('images are not resized')
  if (loaded.ok && loaded.settings.linkBase === null && !ON_WORKERS)
    warnings.push('links need linkBase')
  return {
    ...made,
    identify: plugins.flatMap(({ identify }): Identify[] => (identify ? [identify] : [])),
    checks: plugins.flatMap(({ check }): Check[] => (check ? [check] : [])),
    reserves: plugins.flatMap(({ reserve }): Reserve[] => (reserve ? [reserve] : [])),
    env,
    ready: plugins.reduce(
      (before, { ready }) => (ready === undefined ? before : andThen(before, ready)),
      (given: LoadedSettings): ReturnType<Instance['ready']> => given,
    ),
    resizesImages,
    later,
    warnings,
    events: announcerTo({
      onEvent:
        onEvent === undefined
          ? null
          : (event, background) =>
              within(
                appMilliseconds,
                Promise.resolve(
                  // A copy, since the index stores the file of the event next.
                  onEvent(deepFreeze(structuredClone(event)), {
                    env,
                    waitUntil: (work) => background.waitUntil(work),
                  }),
                ),
              ),
      webhooks,
      later,
    }),
    appMilliseconds,
    settings: issues.length === 0 ? loaded : { ok: false, issues, thrown },
    log: log === undefined ? (line) => console.log(JSON.stringify(line)) : harmless(log),
    objects(context) {
      const stub = objectsEntrypoint === null ? null : stubIn(context, objectsEntrypoint)
      return stub === null ? directObjects(context) : edgeObjects(stub)
    },
  }
}

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
  return (line) => {
    try {
      const done = log(line)
      if (done instanceof Promise) done.catch(report)
    } catch (error) {
      report(error)
    }
  }
}
