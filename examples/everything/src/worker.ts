// biome-ignore-start assist/source/organizeImports: in this order, the bundle compresses best
import { presigner, worker } from './presigner.ts'
import { dropBoxesObject, objectsEntrypoint, upkeepObject } from '../../../src/cloudflare.ts'
// biome-ignore-end assist/source/organizeImports: in this order, the bundle compresses best

// The Durable Object that remembers grants.
export { Grants } from '../../../src/cloudflare.ts'

/** Reads objects for links, behind Workers Caching. */
export class Objects extends objectsEntrypoint(presigner) {}

/** Remembers drop boxes. */
export class DropBoxes extends dropBoxesObject(presigner) {}

/** Walks through the buckets. */
export class Upkeep extends upkeepObject(presigner) {}

export default worker.handler satisfies ExportedHandler<Env>
