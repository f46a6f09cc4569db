// biome-ignore lint/performance/noBarrelFile: an entry of the package
export { dropBoxesObject } from './plugins/drop-boxes/cloudflare.ts'
export { d1FileIndex } from './plugins/files/d1-file-index.ts'
export { kvFileIndex } from './plugins/files/kv-file-index.ts'
export { Grants } from './plugins/grants/cloudflare.ts'
export { type ObjectsEntrypoint, objectsEntrypoint } from './plugins/links/cloudflare.ts'
export { type UpkeepObject, upkeepObject } from './plugins/upkeep/cloudflare.ts'
export type { Ledger as DropBoxesObject } from './state/ledger.ts'
