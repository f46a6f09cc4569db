// biome-ignore-start lint/performance/noBarrelFile: the entry of the package
export * from './create-worker.ts'
export * from './plugins.ts'
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package
