/*
 * The plugins of a Worker. Each reads its options from variables and bindings, and brings the rules of
 * its variables, so that a bundle has nothing of a plugin that is not listed.
 */
// biome-ignore-start assist/source/organizeImports: in this order, the bundle compresses best
// biome-ignore-start lint/performance/noBarrelFile: these plugins read no variables
import * as notificationsPlugin from '../plugins/notifications/index.ts'
import * as apiKeysPlugin from '../plugins/api-keys/index.ts'
import * as eventsPlugin from '../plugins/events/index.ts'
import * as jwtPlugin from '../plugins/jwt/index.ts'
import * as imagesPlugin from '../plugins/links/images/index.ts'
import * as linksPlugin from '../plugins/links/index.ts'
import * as filesPlugin from '../plugins/files/index.ts'
import * as fileAdminPlugin from '../plugins/files/admin/index.ts'
import * as upkeepPlugin from '../plugins/upkeep/index.ts'
import { d1FileIndex } from '../plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../plugins/files/kv-file-index.ts'
import { tokens } from '../plugins/tokens/index.ts'
export { uppy } from '../plugins/uppy/index.ts'
import { multipart } from '../plugins/multipart/index.ts'
export { copies } from '../plugins/copies/index.ts'
export { dropBoxes } from '../plugins/drop-boxes/index.ts'
export { grants } from '../plugins/grants/index.ts'
export { userData } from '../plugins/user-data/index.ts'
import type { RateLimiter } from '../http/host.ts'
import type { Plugin } from '../plugin.ts'
import type { ImageResizer } from '../plugins/links/images/variant.ts'
import type { Images, LinksOptions } from '../plugins/links/options.ts'
import * as rules from './plugin-rules.ts'
import {
  type PluginRule,
  type PluginRules,
  validSettings,
  type WorkerSettings,
} from './variables.ts'
// biome-ignore-end lint/performance/noBarrelFile: these plugins read no variables
// biome-ignore-end assist/source/organizeImports: in this order, the bundle compresses best

/** What the Worker's code reads of its environment. `wrangler types` writes a type with more. */
export interface WorkerEnv {
  /** Needed by `files()`, unless there is FILES_DB. */
  readonly FILE_INDEX?: KVNamespace
  readonly FILES_DB?: D1Database
  readonly RATE_LIMITER: RateLimiter
  readonly IMAGES?: ImageResizer
  /** The page's files. */
  readonly ASSETS?: { fetch(request: Request): Promise<Response> }
  readonly EVENTS?: eventsPlugin.JobQueue
}

/** Returns a reader of a setting. Undefined if the settings are invalid, which have reported it. */
const setting =
  <Name extends keyof WorkerSettings>(name: Name) =>
  (env: object): WorkerSettings[Name] | undefined =>
    validSettings.get(env)?.[name]

/** A plugin that brings the rule of its variable. */
type Reading<P> = P & { readonly rule?: PluginRule }

const reading = <P extends object>(plugin: P, rule: PluginRule): Reading<P> => ({ ...plugin, rule })

/** Returns the rules that `plugins` bring. */
export const rulesOf = (plugins: readonly Reading<Plugin<never>>[]): PluginRules =>
  Object.fromEntries(plugins.map((plugin) => [plugin?.name, plugin?.rule]))

/** Tells `onEvent`, the endpoints of WEBHOOKS, or both about each change. Its queue is EVENTS. */
export const events = <B extends WorkerEnv = WorkerEnv>(
  options: Omit<eventsPlugin.EventsOptions<B>, 'webhooks' | 'queue'> = {},
): Plugin<B> =>
  reading(
    eventsPlugin.events<B>({
      webhooks: setting('webhooks'),
      queue: (env) => env.EVENTS,
      ...options,
    }),
    rules.events,
  )

/** Records what buckets report, with NOTIFICATION_SECRETS or R2's queue. */
export const notifications = <B extends WorkerEnv = WorkerEnv>(
  options: Omit<notificationsPlugin.NotificationsOptions<B>, 'secrets'> = {},
): Plugin<B> =>
  reading(
    notificationsPlugin.notifications<B>({ secrets: setting('notificationSecrets'), ...options }),
    rules.notifications,
  )

/** Records of files, in the D1 database FILES_DB or else in the KV namespace FILE_INDEX. */
export const files = (): filesPlugin.Files<WorkerEnv> =>
  reading(
    filesPlugin.files<WorkerEnv>({
      // The rules of both have checked them.
      index: ({ FILES_DB, FILE_INDEX }) =>
        FILES_DB ? d1FileIndex(FILES_DB) : kvFileIndex(FILE_INDEX as KVNamespace),
    }),
    rules.files,
  )

/**
 * The records of the index, for API keys with `index:write`, and, once API_KEYS or JWT lists the scope
 * `objects:list`, what is in the bucket.
 */
export const fileAdmin = (): Plugin<WorkerEnv> =>
  fileAdminPlugin.fileAdmin<WorkerEnv>({
    drivers: {
      kv: ({ FILE_INDEX }) => FILE_INDEX && kvFileIndex(FILE_INDEX),
      d1: ({ FILES_DB }) => FILES_DB && d1FileIndex(FILES_DB),
    },
    objects: (env) =>
      [setting('jwt')(env), ...(setting('apiKeys')(env) ?? [])].some((granted) =>
        granted?.scopes?.includes('objects:list'),
      ),
  })

/** Compares buckets and index at the times of Cron Triggers, as UPKEEP says. */
export const upkeep = <B extends WorkerEnv = WorkerEnv>(): upkeepPlugin.Upkeep<B> =>
  reading(upkeepPlugin.upkeep<B>({ settings: setting('upkeep') }, 'UPKEEP'), rules.upkeep)

/** JWTs of the issuer in JWT. */
export const jwt = (): Plugin<WorkerEnv> =>
  reading(jwtPlugin.jwt<WorkerEnv>({ accept: setting('jwt') }, 'JWT'), rules.jwt)

/** Resized images for `links`, of the widths in IMAGE_WIDTHS, by the binding IMAGES. */
export const images = (): Images<WorkerEnv> =>
  reading(
    imagesPlugin.images<WorkerEnv>({
      binding: (env) => env.IMAGES,
      sizes: setting('imageWidths'),
    }),
    rules.images,
  )

/** Links for an `<img>` or an email, on an origin where only this Worker is. */
export const links = <B extends WorkerEnv = WorkerEnv>(
  options: Omit<LinksOptions<B>, 'ownsOrigin'> = {},
): linksPlugin.Links<B> => linksPlugin.links<B>({ ownsOrigin: true, ...options })

/** The keys with the digests in API_KEYS. */
export const apiKeys = (): Plugin<WorkerEnv> =>
  reading(apiKeysPlugin.apiKeys<WorkerEnv>({ keys: setting('apiKeys') }, 'API_KEYS'), rules.apiKeys)

export { multipart, tokens }

/**
 * Returns the plugins of the default Worker by their names, so that one can be replaced. Pass
 * `Object.values(defaultPlugins())` to `createWorker`.
 */
export const defaultPlugins = () => ({
  files: files(),
  multipart: multipart(),
  links: links({ images: images() }),
  events: events(),
  tokens: tokens(),
  jwt: jwt(),
  apiKeys: apiKeys(),
})
