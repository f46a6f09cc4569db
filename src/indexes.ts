// biome-ignore lint/performance/noBarrelFile: an entry of the package
export { d1FileIndex } from './plugins/files/d1-file-index.ts'
export { kvFileIndex } from './plugins/files/kv-file-index.ts'
