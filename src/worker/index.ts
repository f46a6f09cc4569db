// biome-ignore-start lint/performance/noBarrelFile: the entry of the package
// biome-ignore-start assist/source/organizeImports: in this order, the bundle compresses best
export {
  createWorker,
  type EntryWorker,
  type WorkerHandler,
  type WorkerOptions,
} from './create-worker.ts'
export * from './plugins.ts'
// biome-ignore-end assist/source/organizeImports: in this order, the bundle compresses best
// biome-ignore-end lint/performance/noBarrelFile: the entry of the package
