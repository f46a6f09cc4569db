/*
 * The plugins of a Worker. Each gets its bindings here, and reads its own variables. What is undefined, `withVariables`
 * reads from them.
 */
// biome-ignore-start assist/source/organizeImports: in this order, the bundle compresses best
// biome-ignore-start lint/performance/noBarrelFile: they need nothing of the Worker
import * as apiKeysPlugin from '../plugins/api-keys/index.ts'
import * as eventsPlugin from '../plugins/events/index.ts'
import * as jwtPlugin from '../plugins/jwt/index.ts'
import * as imagesPlugin from '../plugins/links/images/index.ts'
import * as linksPlugin from '../plugins/links/index.ts'
import * as filesPlugin from '../plugins/files/index.ts'
import * as fileAdminPlugin from '../plugins/files/admin/index.ts'
import { d1FileIndex } from '../plugins/files/d1-file-index.ts'
import { kvFileIndex } from '../plugins/files/kv-file-index.ts'
import { tokens } from '../plugins/tokens/index.ts'
export { uppy } from '../plugins/uppy/index.ts'
import { multipart } from '../plugins/multipart/index.ts'
export { copies } from '../plugins/copies/index.ts'
export { dropBoxes } from '../plugins/drop-boxes/index.ts'
export { grants } from '../plugins/grants/index.ts'
export { userData } from '../plugins/user-data/index.ts'
export { notifications } from '../plugins/notifications/index.ts'
export { upkeep } from '../plugins/upkeep/index.ts'
import type { RateLimiter } from '../http/host.ts'
import type { Plugin } from '../plugin.ts'
import type { ImageResizer } from '../plugins/links/images/variant.ts'
import type { Images, LinksOptions } from '../plugins/links/options.ts'
import { hasIndex, NO_INDEX } from './variables.ts'
// biome-ignore-end lint/performance/noBarrelFile: they need nothing of the Worker
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
  /** Tables, or their JSON text. */
  readonly API_KEYS?: unknown
  readonly JWT?: unknown
}

/** Tells `onEvent`, the endpoints of WEBHOOKS, or both about each change. Its queue is EVENTS. */
export const events = <B extends WorkerEnv = WorkerEnv>(
  options: Omit<eventsPlugin.EventsOptions<B>, 'webhooks' | 'queue'> = {},
): Plugin<B> => eventsPlugin.events<B>({ queue: (env) => env.EVENTS, ...options })

/** Records of files, in the D1 database FILES_DB or else in the KV namespace FILE_INDEX. */
export function files(): filesPlugin.Files<WorkerEnv> {
  const plugin = filesPlugin.files<WorkerEnv>({
    // `hasIndex` has checked it.
    index: ({ FILES_DB, FILE_INDEX }) =>
      FILES_DB ? d1FileIndex(FILES_DB) : kvFileIndex(FILE_INDEX as KVNamespace),
  })
  return {
    ...plugin,
    setup(setup, needed) {
      if (hasIndex(setup.env)) return plugin.setup?.(setup, needed) ?? {}
      setup.issue('FILE_INDEX', NO_INDEX)
      return {}
    },
  }
}

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
    objects: ({ API_KEYS, JWT }) => JSON.stringify([API_KEYS, JWT]).includes('objects:list'),
  })

/** Resized images for `links`, of the widths in IMAGE_WIDTHS, by the binding IMAGES. */
export const images = (): Images<WorkerEnv> =>
  imagesPlugin.images<WorkerEnv>({ binding: (env) => env.IMAGES })

/** Links for an `<img>` or an email, on an origin where only this Worker is. */
export const links = <B extends WorkerEnv = WorkerEnv>(
  options: Omit<LinksOptions<B>, 'ownsOrigin'> = {},
): linksPlugin.Links<B> => linksPlugin.links<B>({ ownsOrigin: true, ...options })

/** JWTs of the issuer in JWT. */
export const jwt = (): Plugin<WorkerEnv> => jwtPlugin.jwt<WorkerEnv>({ accept: undefined })

/** The keys with the digests in API_KEYS. */
export const apiKeys = (): Plugin<WorkerEnv> =>
  apiKeysPlugin.apiKeys<WorkerEnv>({ keys: undefined })

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
