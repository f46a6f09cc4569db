import {
  type Check,
  type Checked,
  each,
  isBoolean,
  isEither,
  isListOf,
  isNullOr,
  isNumber,
  isObject,
  isOptional,
  isString,
  isStringMap,
} from './check.ts'
import { isIssue } from './json.ts'
import type { Issue } from './presigner-error.ts'
import type { Scope, UrlUse } from './requests.ts'

/** A file in the index. `size` in bytes, `createdAt` ISO 8601 in UTC, `etag` in its quotes. */
export interface FileRecord {
  key: string
  bucket: string
  name: string
  size: number
  mimetype: string
  etag: string
  /** Who recorded it; null if the index has no record. */
  owner: string | null
  createdAt: string
  /** Only if nobody has confirmed the upload. */
  status?: 'found' | undefined
}

/** A file that was just recorded. */
export interface RecordedFile<Data = unknown> extends FileRecord {
  /** The `data` that the app's `onEvent` returned. */
  data?: Data
}

export interface ListedFile extends FileRecord {
  /** Only with `urls`. */
  url?: string | undefined
  /** Why there is no `url`: the app refused it. */
  error?: ItemError | undefined
}

export interface Totals {
  count: number
  bytes: number
}

/** A folder in the index, with the totals of everything below it. */
export interface Folder extends Totals {
  /** The start of its files' keys, up to and with `/`. */
  prefix: string
}

export interface FilePage {
  files: ListedFile[]
  /** Only with `delimiter`. Folders come before the files. */
  folders?: Folder[] | undefined
  /** Present while more pages may follow. */
  cursor?: string | undefined
}

export interface Group extends Totals {
  /** A media type, the owner's id or null, a day such as `2026-11-28`, or the prefix of a folder. */
  value: string | null
}

/** Response of `GET /stats`. */
export interface Stats extends Totals {
  /** Only with `groupBy`: at most 1000, days from the newest, others from the most bytes. */
  groups?: Group[] | undefined
}

export interface FileUrl {
  url: string
  key: string
  bucket: string
  /** Seconds, from the response on. */
  expiresIn: number
  expiresAt: string
}

export interface Link {
  /** With `widths`, the link of the widest image. */
  link: string
  /** For `<img srcset>`. Only with `widths`. */
  srcset?: string | undefined
  expiresAt: string
}

export interface FolderLink {
  /** The start of the URL of each file. Ends with `/`. */
  base: string
  expiresAt: string
}

/** Why one item of a list was refused. `deleted`: its object is gone, whatever failed after that. */
export interface ItemError {
  code: string
  message: string
  reason?: string | undefined
  etag?: string | null | undefined
  deleted?: boolean | undefined
  issues?: Issue[] | undefined
}

/** Why one key of a list was refused. The other keys are not affected. */
export interface RefusedKey {
  key: string
  error: ItemError
}

export interface Links {
  /** In the order of the request. */
  links: ({ key: string; link: string; srcset?: string | undefined } | RefusedKey)[]
  expiresAt: string
}

/** Response of `POST /files/delete`. */
export interface Deleted {
  /** In the order of the request. A key with an error is not completely deleted. */
  deleted: ({ key: string } | RefusedKey)[]
}

/** Why one file of a list was refused. The other files are not affected. */
export interface RefusedFile {
  fileName?: string | undefined
  key?: string | undefined
  error: ItemError
}

/** Response of `POST /files/batch`. */
export interface RecordedFiles {
  /** In the order of the request. */
  files: (RecordedFile | RefusedFile)[]
}

/** What the caller may do in one bucket. */
export interface BucketLimits {
  bucket: string
  /** Largest file, in bytes; null without a limit. */
  maxBytes: number | null
  /** Types such as `image/png` or `image/*`; null without a limit. */
  allowedTypes: string[] | null
  /** Longest lifetimes in seconds. */
  maxExpiresIn: Record<UrlUse | 'upload' | 'link', number>
}

/** What the caller may do. */
export interface Limits {
  /** Changes with the caller's id and prefix. */
  tag: string
  scopes: Scope[]
  /** The start of all keys that the caller may use. */
  prefix: string
  /** When the token expires; null for an API key. */
  expiresAt: string | null
  /** Whether the index searches, sorts, filters, and has folders and totals. */
  answers: boolean
  /** The plugins that the presigner has, such as `files`. */
  plugins: string[]
  /** The first one is the default. */
  buckets: BucketLimits[]
}

const record = {
  ...each(isString, 'key', 'bucket', 'name', 'mimetype', 'etag', 'createdAt'),
  size: isNumber,
  owner: isNullOr(isString),
  status: isOptional((value): value is 'found' => value === 'found'),
}

export const isAnything: Check<unknown> = (_): _ is unknown => true

export const isFileRecord = isObject<FileRecord>(record)

export const isItemError = isObject<ItemError>({
  ...each(isString, 'code', 'message'),
  reason: isOptional(isString),
  etag: isOptional(isNullOr(isString)),
  deleted: isOptional(isBoolean),
  issues: isOptional(isListOf(isIssue)),
})

const totals = each(isNumber, 'count', 'bytes')

export const isFilePage = isObject<FilePage>({
  files: isListOf(
    isObject<ListedFile>({
      ...record,
      url: isOptional(isString),
      error: isOptional(isItemError),
    }),
  ),
  folders: isOptional(isListOf(isObject<Folder>({ ...totals, prefix: isString }))),
  cursor: isOptional(isString),
})

export const isStats = isObject<Stats>({
  ...totals,
  groups: isOptional(isListOf(isObject<Group>({ ...totals, value: isNullOr(isString) }))),
})

export const isFileUrl = isObject<FileUrl>({
  ...each(isString, 'url', 'key', 'bucket', 'expiresAt'),
  expiresIn: isNumber,
})

export const isLink = isObject<Link>({
  ...each(isString, 'link', 'expiresAt'),
  srcset: isOptional(isString),
})

export const isFolderLink = isObject<FolderLink>(each(isString, 'base', 'expiresAt'))

export const isRefusedKey = isObject<RefusedKey>({ key: isString, error: isItemError })

export const isRefusedFile = isObject<RefusedFile>({
  ...each(isOptional(isString), 'fileName', 'key'),
  error: isItemError,
})

export const isRecordedFiles = isObject<RecordedFiles>({
  files: isListOf(isEither(isFileRecord, isRefusedFile)),
})

const isLinkOfKey = isObject({ ...each(isString, 'key', 'link'), srcset: isOptional(isString) })

export const isLinks = isObject<Links>({
  links: isListOf(isEither(isLinkOfKey, isRefusedKey)),
  expiresAt: isString,
})

export const isDeleted = isObject<Deleted>({
  deleted: isListOf(isEither(isRefusedKey, isObject({ key: isString }))),
})

const limitsOfBucket = isObject<BucketLimits>({
  bucket: isString,
  maxBytes: isNullOr(isNumber),
  allowedTypes: isNullOr(isListOf(isString)),
  maxExpiresIn: isObject(each(isNumber, 'upload', 'view', 'stream', 'email', 'link')),
})

export const isLimits = isObject<Limits>({
  ...each(isString, 'tag', 'prefix'),
  scopes: isListOf((value): value is Scope => isString(value)),
  expiresAt: isNullOr(isString),
  answers: isBoolean,
  plugins: isListOf(isString),
  buckets: isListOf(limitsOfBucket),
})

/** Accepts a response of `POST /files/upload-url`: the members that this client uses. */
export const isUploadUrl = isObject({
  ...each(isString, 'uploadUrl', 'key', 'expiresAt'),
  headers: isStringMap,
  expiresIn: isNumber,
})
export type UploadUrl = Checked<typeof isUploadUrl>

/** Accepts a response of `POST /files/upload-urls`, whose items each need a check. */
export const isUploadUrls = isObject({ uploads: isListOf(isAnything) })

/** Accepts a response of `POST /files/batch`, whose items each need a check. */
export const isBatch = isObject({ files: isListOf(isAnything) })

/** Accepts a response of `POST /multipart`: the members that this client keeps to resume later. */
export const isStartedUpload = isObject({
  ...each(isString, 'uploadId', 'key', 'expiresAt'),
  partSize: (value): value is number => isNumber(value) && value > 0,
})
export type StartedUpload = Checked<typeof isStartedUpload>

export const isPartUrls = isObject({
  urls: isListOf(isObject({ partNumber: isNumber, url: isString })),
  expiresIn: isNumber,
  expiresAt: isString,
})
export type PartUrls = Checked<typeof isPartUrls>

export const isPartList = isObject({
  parts: isListOf(isObject({ ...each(isNumber, 'partNumber', 'size'), etag: isString })),
})
export type PartList = Checked<typeof isPartList>
