import { createPresigner } from './index.ts'
import { objectsEntrypoint } from './plugins/links/cloudflare.ts'
import { environmentSettings } from './worker/environment.ts'
import { pageFile } from './worker/page.ts'
import { type Bindings, PLUGINS } from './worker/plugins.ts'

/** The presigner with the settings of the environment. */
export const presigner = createPresigner<Bindings>(environmentSettings, {
  plugins: PLUGINS,
  rateLimiter: (env) => env.RATE_LIMITER,
})

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint(presigner) {}

export default {
  fetch(request, env, context) {
    const answer = () => presigner.fetch(request, env, context)
    return pageFile(request, env)?.then((file) => file ?? answer()) ?? answer()
  },
  async queue(batch, env, context) {
    await presigner.queue(batch, env, context)
  },
} satisfies ExportedHandler<Env>
