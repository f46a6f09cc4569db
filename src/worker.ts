// biome-ignore assist/source/organizeImports: in this order, the bundle compresses best
import { presigner, worker } from './worker/presigner.ts'
import { objectsEntrypoint } from './plugins/links/cloudflare.ts'
import { dropBoxesObject } from './plugins/drop-boxes/cloudflare.ts'
export { Grants } from './plugins/grants/cloudflare.ts'
export { Upkeep } from './plugins/upkeep/cloudflare.ts'

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint(presigner) {}

/** Remembers drop boxes. */
export class DropBoxes extends dropBoxesObject(presigner) {}

export default worker.handler satisfies ExportedHandler<Env>
