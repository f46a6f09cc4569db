// biome-ignore-all lint/performance/noBarrelFile: the package's only entry

export type { ApiRequest, CallOptions } from './call.ts'
export { type Client, type ClientOptions, createClient } from './client.ts'
export type { ApiErrorCode, ClientErrorCode, ErrorCode } from './error-code.ts'
export type { UploadHandle } from './handle.ts'
export { type Issue, PresignerError } from './presigner-error.ts'
export type { Progress } from './progress.ts'
export type * from './requests.ts'
export type * from './responses.ts'
export type { Session } from './session.ts'
export type { StartOptions, UploadOptions } from './upload.ts'
