// biome-ignore-all lint/performance/noBarrelFile: the package's entry for servers

export type { CallOptions } from './call.ts'
export type { ApiErrorCode, ClientErrorCode, ErrorCode } from './error-code.ts'
export type { Issue } from './presigner-error.ts'
export { PresignerError } from './presigner-error.ts'
export type {
  CopyOptions,
  FileConditions,
  FileQuestion,
  FolderLinkOptions,
  GroupBy,
  LinkOptions,
  LinkRestrictions,
  LinksOptions,
  Scope,
  Sort,
  StatsOptions,
  UrlOptions,
  UrlUse,
} from './requests.ts'
export type {
  BucketLimits,
  Deleted,
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
  RecordedFiles,
  RefusedFile,
  RefusedKey,
  Stats,
} from './responses.ts'
export type { ServerClient, ServerClientOptions, SharingListOptions } from './server/client.ts'
export { createServerClient } from './server/client.ts'
export type { DeleteAllOptions } from './server/delete-all.ts'
export type {
  ExportOptions,
  FileToRecord,
  FileToUpload,
  FolderOptions,
  ListAllOptions,
  ObjectsOptions,
  TokenRequest,
} from './server/requests.ts'
export type {
  DeletedAll,
  FileUrls,
  ObjectPage,
  Purged,
  SignedUpload,
  StoredObject,
  Token,
  UploadUrls,
} from './server/responses.ts'
export type { Chunk, UploadSource } from './server/source.ts'
export type { ServerUploadOptions } from './server/upload.ts'
export type { WebhookEvent, WebhookOptions, WebhookRequest } from './server/webhook.ts'
export { verifyWebhook } from './server/webhook.ts'
export type { DropBoxOptions, GrantChanges, GrantOptions } from './sharing-calls.ts'
export type { DropBox, Grant, ReceivedFile } from './sharing-responses.ts'
