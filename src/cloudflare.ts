// biome-ignore lint/performance/noBarrelFile: an entry of the package
export { kvFileIndex } from './cloudflare/kv-file-index.ts'
export { type ObjectsEntrypoint, objectsEntrypoint } from './cloudflare/objects.ts'
