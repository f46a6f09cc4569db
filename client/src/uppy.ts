// biome-ignore-all lint/performance/noBarrelFile: the package's entry for pages with Uppy

export type { UppyFile } from './uppy-file.ts'
export type { SignedRequest, SignRequest, UppyOptions, UppySigner } from './uppy-options.ts'
export { uppyOptions } from './uppy-options.ts'
export type { OutageOptions, WaitingUppy } from './uppy-outages.ts'
export { retryAfterOutages } from './uppy-outages.ts'
export type { RecordingUppy, RecordOptions } from './uppy-record.ts'
export { recordUploads } from './uppy-record.ts'
export type { RestartingUppy } from './uppy-restart.ts'
export { restartLostUploads } from './uppy-restart.ts'
