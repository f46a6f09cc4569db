import { app } from './app.ts'
import { pageFile } from './http/page.ts'

// biome-ignore lint/performance/noBarrelFile: an entrypoint is what the main module exports
export { Objects } from './cloudflare/objects.ts'

export default {
  async fetch(request, env, context) {
    return (await pageFile(request, env)) ?? app.fetch(request, env, context)
  },
} satisfies ExportedHandler<Env>
