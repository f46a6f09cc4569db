// biome-ignore lint/performance/noBarrelFile: an entry of the package
export { kvFileIndex } from './plugins/files/kv-file-index.ts'
export { type ObjectsEntrypoint, objectsEntrypoint } from './plugins/links/cloudflare.ts'
