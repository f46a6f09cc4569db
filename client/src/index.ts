// biome-ignore-all lint/performance/noBarrelFile: the package's only entry

export type * from './answers/files.ts'
export type { ApiRequest, CallOptions } from './call.ts'
export { type Client, type ClientOptions, createClient } from './client.ts'
export type { ClientErrorCode, ErrorCode } from './error-code.ts'
export { canRetry, explain } from './explain.ts'
export type { UploadHandle } from './handle.ts'
export { PresignerError } from './presigner-error.ts'
export type { Progress } from './progress.ts'
export type * from './requests.ts'
export type { Session } from './session.ts'
export type { StartOptions, UploadOptions } from './upload.ts'
