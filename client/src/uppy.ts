// biome-ignore-all lint/performance/noBarrelFile: the package's entry for pages with Uppy

export type { UppyFile } from './uppy-file.ts'
export type { SignedRequest, SignRequest, UppyOptions, UppySigner } from './uppy-options.ts'
export { uppyOptions } from './uppy-options.ts'
export type { RecordingUppy, RecordOptions } from './uppy-record.ts'
export { recordUploads } from './uppy-record.ts'
export type { OutageOptions, RetryingUppy } from './uppy-retries.ts'
export { restartLostUploads, retryAfterOutages } from './uppy-retries.ts'
