import { app } from './app.ts'

// biome-ignore lint/performance/noBarrelFile: an entrypoint is what the main module exports
export { Objects } from './delivery/objects.ts'

export default { fetch: app.fetch } satisfies ExportedHandler<Env>
