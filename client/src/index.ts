// biome-ignore-all lint/performance/noBarrelFile: the package's only entry

export type { ApiRequest, CallOptions } from './call.ts'
export type { Client, ClientOptions } from './client.ts'
export { createClient } from './client.ts'
export type { ApiErrorCode, ClientErrorCode, ErrorCode } from './error-code.ts'
export type { UploadHandle } from './handle.ts'
export type { Issue } from './presigner-error.ts'
export { PresignerError } from './presigner-error.ts'
export type { Progress } from './progress.ts'
export type {
  CopyOptions,
  FileQuestion,
  FolderLinkOptions,
  GroupBy,
  LinkOptions,
  LinkRestrictions,
  LinksOptions,
  ListOptions,
  Scope,
  Sort,
  StatsOptions,
  UrlOptions,
  UrlUse,
} from './requests.ts'
export type {
  BucketLimits,
  Deleted,
  FilePage,
  FileRecord,
  FileUrl,
  Folder,
  FolderLink,
  Group,
  Limits,
  Link,
  Links,
  ListedFile,
  RecordedFile,
  RefusedKey,
  Stats,
} from './responses.ts'
export type { Session } from './session.ts'
export type { UploadOptions } from './upload.ts'
