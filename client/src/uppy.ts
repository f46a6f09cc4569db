// biome-ignore-all lint/performance/noBarrelFile: the package's entry for pages with Uppy

export type { SignedRequest, SignRequest, UppyFile } from './uppy-options.ts'
export { type UppyOptions, type UppySigner, uppyOptions } from './uppy-options.ts'
export { type RecordingUppy, type RecordOptions, recordUploads } from './uppy-record.ts'
export type { OutageOptions, RetryingUppy } from './uppy-retries.ts'
export { restartLostUploads, retryAfterOutages } from './uppy-retries.ts'
