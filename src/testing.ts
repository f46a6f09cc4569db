// biome-ignore-start lint/performance/noBarrelFile: an entry of the package
export { memoryFileIndex } from './plugins/files/memory-file-index.ts'
export { declareFileIndexContract } from './testing/file-index-contract.ts'
// biome-ignore-end lint/performance/noBarrelFile: an entry of the package

/** Returns a clock that always shows `instant`, for the option `now` of a signer. */
export function fixedClock(instant: string | Date): () => Date {
  const time = new Date(instant).getTime()
  if (Number.isNaN(time)) throw new RangeError('fixedClock needs a valid date.')
  return () => new Date(time)
}
