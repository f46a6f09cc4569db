// biome-ignore lint/performance/noBarrelFile: an entry of the package
export { sqliteFileIndex } from './plugins/files/sqlite-file-index.ts'
