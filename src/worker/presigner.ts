import { createPresigner } from '../index.ts'
import type { Plugin } from '../plugin.ts'
import { apiKeys } from '../plugins/api-keys/index.ts'
import { events, type JobQueue } from '../plugins/events/index.ts'
import { files } from '../plugins/files/index.ts'
import { kvFileIndex } from '../plugins/files/kv-file-index.ts'
import { jwt } from '../plugins/jwt/index.ts'
import { images } from '../plugins/links/images/index.ts'
import { links } from '../plugins/links/index.ts'
import { multipart } from '../plugins/multipart/index.ts'
import { notifications } from '../plugins/notifications/index.ts'
import { tokens } from '../plugins/tokens/index.ts'
import { uppy } from '../plugins/uppy/index.ts'
import { environmentSettings } from './environment.ts'

/** The queue is optional: docs/events.md. */
type Bindings = Env & { readonly EVENTS?: JobQueue }

/** The plugins of the Worker: all of them. */
export const PLUGINS: readonly Plugin<Bindings>[] = [
  events({ webhooks: (env) => environmentSettings(env).webhooks, queue: (env) => env.EVENTS }),
  notifications({
    files: files({ index: (env) => kvFileIndex(env.FILE_INDEX) }),
    secrets: (env) => environmentSettings(env).notificationSecrets,
  }),
  jwt({ accept: (env) => environmentSettings(env).jwt }, 'JWT'),
  links({
    images: images({
      binding: (env) => env.IMAGES,
      sizes: (env) => environmentSettings(env).imageWidths,
    }),
    ownsOrigin: true,
  }),
  uppy({ multipart: multipart() }),
  tokens(),
  apiKeys({ keys: (env) => environmentSettings(env).apiKeys }),
]

/** The Worker's presigner. It is not in worker.ts, since what that exports becomes an entrypoint. */
export const presigner = createPresigner<Bindings>(environmentSettings, {
  plugins: PLUGINS,
  rateLimiter: (env) => env.RATE_LIMITER,
})
