import { createPresigner, type JobQueue } from './index.ts'
import { kvFileIndex } from './plugins/files/kv-file-index.ts'
import { objectsEntrypoint } from './plugins/links/cloudflare.ts'
import { environmentSettings } from './worker/environment.ts'
import { pageFile } from './worker/page.ts'
import { PLUGINS } from './worker/plugins.ts'

/** The queue is optional: docs/events.md. */
type Bindings = Env & { readonly EVENTS?: JobQueue }

/** The presigner with the settings of the environment. */
export const presigner = createPresigner<{ Bindings: Bindings }>(environmentSettings, {
  plugins: PLUGINS,
  fileIndex: (env) => kvFileIndex(env.FILE_INDEX),
  rateLimiter: (env) => env.RATE_LIMITER,
  images: (env) => env.IMAGES,
  jobQueue: (env) => env.EVENTS,
  ownsOrigin: true,
})

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint<Env>(environmentSettings, {
  images: (env) => env.IMAGES,
  name: 'Objects',
}) {}

export default {
  fetch(request, env, context) {
    const answer = () => presigner.fetch(request, env, context)
    return pageFile(request, env)?.then((file) => file ?? answer()) ?? answer()
  },
  async queue(batch, env, context) {
    await presigner.queue(batch, env, context)
  },
} satisfies ExportedHandler<Env>
