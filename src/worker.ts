// biome-ignore assist/source/organizeImports: in this order, the bundle compresses best
import { presigner } from './worker/presigner.ts'
import { pageFile } from './worker/page.ts'
import { objectsEntrypoint } from './plugins/links/cloudflare.ts'

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
