// biome-ignore assist/source/organizeImports: in this order, the bundle compresses best
import { presigner, worker } from './worker/presigner.ts'
import { objectsEntrypoint } from './plugins/links/cloudflare.ts'

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint(presigner) {}

export default worker.handler satisfies ExportedHandler<Env>
