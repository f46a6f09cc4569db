import type { hc, InferRequestType, InferResponseType } from 'hono/client'
import type { DropBoxToken } from '../../client/src/answers/drop-box.ts'
import type {
  ApiErrorCode,
  Deleted,
  FilePage,
  FileRecord,
  FileUrl,
  FolderLink,
  Issue,
  Limits,
  Link,
  Links,
  ListedFile,
  RecordedFile,
  Stats,
} from '../../client/src/answers/files.ts'
import type {
  FileUrls,
  ObjectPage,
  Purged,
  RecordedFiles,
  Token,
  UploadUrls,
} from '../../client/src/answers/server.ts'
import type {
  DropBox,
  DropBoxPage,
  Grant,
  GrantPage,
  ReceivedPage,
} from '../../client/src/answers/sharing.ts'
import type {
  PartList,
  PartUrls,
  StartedUpload,
  UploadUrl,
} from '../../client/src/answers/uploads.ts'
import type {
  CompleteRequest,
  PartUrlsRequest,
  RecordRequest,
  StartRequest,
  UploadQuery,
  UploadUrlRequest,
} from '../../client/src/bodies.ts'
import type {
  CopyOptions,
  FolderLinkOptions,
  LinkOptions,
  LinkRestrictions,
  LinksOptions,
  ListOptions,
  RemoveOptions,
  StatsOptions,
  UrlOptions,
} from '../../client/src/requests.ts'
import type {
  FileToRecord,
  FileToUpload,
  ObjectsOptions,
  TokenRequest,
} from '../../client/src/server/requests.ts'
import type { WebhookEvent } from '../../client/src/server/webhook.ts'
import type {
  DropBoxOptions,
  DropBoxVisitor,
  GrantChanges,
  GrantOptions,
  OwnedOptions,
  PageOptions,
} from '../../client/src/sharing-calls.ts'
import type { downloadUrlRoutes } from '../../src/core/download-urls.ts'
import type { limitRoutes } from '../../src/core/limits.ts'
import type { uploadUrlRoutes } from '../../src/core/uploads.ts'
import type { Issue as ApiIssue, ErrorCode } from '../../src/errors/api-error.ts'
import type { ObjectKey } from '../../src/keys/object-key.ts'
import type { copyRoutes } from '../../src/plugins/copies/routes.ts'
import type { dropBoxPageRoutes, dropBoxRoutes } from '../../src/plugins/drop-boxes/routes.ts'
import type { adminRoutes } from '../../src/plugins/files/admin/routes.ts'
import type { fileRoutes } from '../../src/plugins/files/routes.ts'
import type { grantRoutes } from '../../src/plugins/grants/routes.ts'
import type { linkRoutes } from '../../src/plugins/links/make-links.ts'
import type { multipartRoutes } from '../../src/plugins/multipart/routes.ts'
import type { tokenRoutes } from '../../src/plugins/tokens/routes.ts'
import type { EventType, FileEvent } from '../../src/records/file-event.ts'

// Compiled but never run. When a type of the client differs from the Worker's, a line below is an
// error.

type Api = ReturnType<typeof hc<typeof uploadUrlRoutes>> &
  ReturnType<typeof hc<typeof downloadUrlRoutes>> &
  ReturnType<typeof hc<typeof limitRoutes>> &
  ReturnType<typeof hc<typeof copyRoutes>> &
  ReturnType<typeof hc<typeof fileRoutes>> &
  ReturnType<typeof hc<typeof linkRoutes>> &
  ReturnType<typeof hc<typeof multipartRoutes>> &
  ReturnType<typeof hc<typeof tokenRoutes>>
type Objects = ReturnType<typeof hc<typeof adminRoutes>>['objects']
type Grants = ReturnType<typeof hc<ReturnType<typeof grantRoutes>>>['grants']
type DropBoxes = ReturnType<typeof hc<typeof dropBoxRoutes>>['drop-boxes']
type BoxPage = ReturnType<typeof hc<typeof dropBoxPageRoutes>>['d'][':secret']
type Files = Api['files']
type File = Files[':key']
type Upload = Api['multipart'][':uploadId']

/** The type after JSON: without the Worker's brands, and without what only TypeScript has. */
type Plain<T> = T extends ObjectKey
  ? string
  : T extends readonly (infer Item)[]
    ? Plain<Item>[]
    : T extends object
      ? { -readonly [Name in keyof T]: Plain<T[Name]> }
      : T

/** `never` unless the two have the same members, optional or not, of the same types. */
type Same<One, Other> =
  (<T>() => T extends Plain<One> ? 1 : 2) extends <T>() => T extends Plain<Other> ? 1 : 2
    ? true
    : never
/** `never` unless a `Whole` is a `Part` without unknown members. */
type Covers<Whole, Part> = [Plain<Whole>, keyof Part] extends [Part, keyof Whole] ? true : never

/** `never` unless a union has the members of `Whole` and their types, and each of its variants is one. */
type Splits<Whole, Union> = [Plain<Union>] extends [Plain<Whole>]
  ? Same<Partial<Plain<Whole>>, Joined<Plain<Union>>>
  : never
type Joined<Union> = {
  [Name in Union extends unknown ? keyof Union : never]?: Union extends Partial<
    Record<Name, infer Value>
  >
    ? Value
    : never
}

type Without<Union, Name extends keyof Union> = Union extends unknown ? Omit<Union, Name> : never

type Answer<Route, Status extends 200 | 201> = InferResponseType<Route, Status>
type Body<Route> = InferRequestType<Route> extends { json: infer Json } ? Json : never
type Query<Route> = InferRequestType<Route> extends { query: infer Fields } ? Fields : never
/** The type of `Options` as the client writes them into a query. */
type Written<Options> = {
  [Name in keyof Options]: Options[Name] extends undefined
    ? undefined
    : Options[Name] extends number | undefined
      ? string | Extract<Options[Name], undefined>
      : Options[Name] extends boolean | undefined
        ? 'true' | 'false' | Extract<Options[Name], undefined>
        : Options[Name]
}
interface InBucket {
  bucket?: string | undefined
}

export const errors: [Same<ErrorCode, ApiErrorCode>, Same<ApiIssue, Issue>] = [true, true]

export const answers: [
  Same<Omit<Answer<Files['$post'], 201>, 'data'>, FileRecord>,
  Same<Answer<File['$get'], 200>, FileRecord>,
  Same<Omit<Answer<Upload['complete']['$post'], 201>, 'data'>, FileRecord>,
  Same<keyof Answer<Files['$post'], 201>, keyof RecordedFile>,
  Same<keyof Answer<Upload['complete']['$post'], 201>, keyof RecordedFile>,
  Covers<Answer<Files['$get'], 200>, FilePage>,
  Same<keyof Answer<Files['$get'], 200>['files'][number], keyof FileRecord>,
  Same<Exclude<keyof ListedFile, keyof FileRecord>, 'url' | 'error'>,
  Same<Answer<File['url']['$get'], 200>, FileUrl>,
  Same<Answer<File['link']['$post'], 200>, Link>,
  Covers<Answer<Api['links']['$post'], 200>, Links>,
  Same<Answer<Api['links']['folder']['$post'], 200>, FolderLink>,
  Covers<Answer<Files['upload-url']['$post'], 200>, UploadUrl>,
  Covers<Answer<Api['multipart']['$post'], 200>, StartedUpload>,
  Covers<Answer<Upload['urls']['$post'], 200>, PartUrls>,
  Same<Answer<Upload['$get'], 200>, PartList>,
  Same<Answer<Api['limits']['$get'], 200>, Limits>,
  Same<Answer<Api['stats']['$get'], 200>, Stats>,
] = [
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
  true,
]

export const bodies: [
  Same<Body<Files['$post']>, RecordRequest>,
  Same<Body<Files['upload-url']['$post']>, UploadUrlRequest>,
  Splits<Body<File['link']['$post']>, LinkOptions>,
  Splits<Body<Api['links']['$post']>, LinksOptions & InBucket & { keys: string[] }>,
  Splits<Body<Api['links']['folder']['$post']>, FolderLinkOptions & InBucket & { prefix: string }>,
  Same<Body<Api['multipart']['$post']>, StartRequest>,
  Same<Body<Upload['urls']['$post']>, PartUrlsRequest>,
  Same<Body<Upload['complete']['$post']>, CompleteRequest>,
] = [true, true, true, true, true, true, true, true]

export const queries: [
  Splits<Query<Files['$get']>, Written<ListOptions & InBucket>>,
  Same<Query<Api['stats']['$get']>, StatsOptions & InBucket>,
  Same<Query<File['url']['$get']>, Written<UrlOptions & InBucket>>,
  Same<Query<File['link']['$post']>, InBucket>,
  Same<Query<File['$delete']>, RemoveOptions & InBucket>,
  Same<Query<Upload['$get']>, UploadQuery>,
  Same<Query<Upload['$delete']>, UploadQuery>,
] = [true, true, true, true, true, true, true]

type Sent<Type extends EventType> = Extract<WebhookEvent, { type: Type }>['data']
type Told<Type extends FileEvent['type']> = Omit<Extract<FileEvent, { type: Type }>, 'type'>

/** The server client. */
export const server: [
  Same<Answer<Api['tokens']['$post'], 200>, Token>,
  Same<Body<Api['tokens']['$post']>, TokenRequest>,
  Splits<Body<Files['upload-urls']['$post']>['files'][number], FileToUpload>,
  Covers<Answer<Files['urls']['$post'], 200>, FileUrls>,
  Covers<Answer<Files['delete']['$post'], 200>, Deleted>,
  Covers<Answer<Files['purge']['$post'], 200>, Purged>,
  Same<Answer<File['$patch'], 200>, FileRecord>,
  Same<Body<File['$patch']>, InBucket & { name: string }>,
  Covers<Answer<Files['upload-urls']['$post'], 200>, UploadUrls>,
  Covers<Answer<Files['batch']['$post'], 200>, RecordedFiles>,
  Same<Body<Files['batch']['$post']>['files'][number], FileToRecord>,
  Same<Sent<'file.moved'>['from'], Told<'moved'>['from']>,
  Covers<Omit<Body<Files['copy']['$post']>, 'files' | 'from' | 'to' | 'bucket'>, CopyOptions>,
  Same<EventType, WebhookEvent['type']>,
  Same<keyof Sent<'file.recorded'>, keyof Told<'recorded'>>,
  Same<Sent<'file.recorded'>['file'], Told<'recorded'>['file']>,
  Same<Sent<'file.deleted'>['file'], Told<'deleted'>['file']>,
  Same<keyof Answer<Objects['$get'], 200>, keyof ObjectPage>,
  Same<Answer<Objects['$get'], 200>['objects'][number], ObjectPage['objects'][number]>,
  Same<
    keyof Query<Objects['$get']>,
    Exclude<keyof ObjectsOptions, 'pageSize'> | 'limit' | 'cursor' | 'bucket'
  >,
] = [
  ...([true, true, true] as const),
  ...([true, true, true, true, true, true, true, true] as const),
  ...([true, true, true, true, true, true, true, true, true] as const),
]

/** Grants and drop boxes, in both clients. */
export const sharing: [
  Same<Answer<Grants['$post'], 201>, Grant>,
  Same<Answer<Grants['$get'], 200>, GrantPage>,
  Same<Answer<Grants[':id']['$get'], 200>, Grant>,
  Same<Answer<Grants[':id']['$patch'], 200>, Grant>,
  Splits<
    Omit<Body<Grants['$post']>, 'restrictions'>,
    Without<GrantOptions & InBucket & { key: string }, 'restrictions'>
  >,
  Splits<NonNullable<Body<Grants['$post']>['restrictions']>, LinkRestrictions>,
  Same<Body<Grants[':id']['$patch']>, GrantChanges>,
  Same<Query<Grants['$get']>, Written<OwnedOptions>>,
  Same<Answer<DropBoxes['$post'], 201>, DropBox>,
  Same<Answer<DropBoxes['$get'], 200>, DropBoxPage>,
  Same<Answer<DropBoxes[':id']['$get'], 200>, DropBox>,
  Same<Answer<DropBoxes[':id']['files']['$get'], 200>, ReceivedPage>,
  Same<Body<DropBoxes['$post']>, DropBoxOptions & InBucket & { prefix: string }>,
  Same<Query<DropBoxes['$get']>, Written<OwnedOptions>>,
  Same<Query<DropBoxes[':id']['files']['$get']>, Written<PageOptions>>,
  Covers<Answer<BoxPage['token']['$post'], 200>, DropBoxToken>,
  Same<Body<BoxPage['token']['$post']>, DropBoxVisitor>,
] = [
  ...([true, true, true, true, true, true, true, true] as const),
  ...([true, true, true, true, true, true, true, true, true] as const),
]
