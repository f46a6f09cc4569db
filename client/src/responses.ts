import {
  type Check,
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
export interface RecordedFile extends FileRecord {
  /** The `data` that the app's `onEvent` returned. */
  data?: unknown
}

export interface ListedFile extends FileRecord {
  /** Only with `urls`. */
  url?: string | undefined
  /** Why there is no `url`: the app refused it. */
  error?: { code: string; message: string } | undefined
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

/** Why one key of a list was refused. The other keys are not affected. */
export interface RefusedKey {
  key: string
  error: { code: string; message: string }
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
  error: { code: string; message: string }
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

/** Response of `POST /files/upload-url`: the members that this client uses. */
export interface UploadUrl {
  uploadUrl: string
  key: string
  /** The headers to send. A browser adds its own. */
  headers: Record<string, string>
  expiresIn: number
  expiresAt: string
}

/** Response of `POST /multipart`: the members that this client uses and keeps to resume later. */
export interface StartedUpload {
  uploadId: string
  key: string
  /** Bytes of each part, except the last. */
  partSize: number
  /** When the upload id expires. */
  expiresAt: string
}

export interface PartUrls {
  urls: { partNumber: number; url: string }[]
  expiresIn: number
  expiresAt: string
}

export interface PartList {
  parts: { partNumber: number; size: number; etag: string }[]
}

const record = {
  key: isString,
  bucket: isString,
  name: isString,
  size: isNumber,
  mimetype: isString,
  etag: isString,
  owner: isNullOr(isString),
  createdAt: isString,
  status: isOptional((value): value is 'found' => value === 'found'),
}

export const isAnything: Check<unknown> = (_): _ is unknown => true

export const isFileRecord = isObject<FileRecord>(record)

export const isItemError = isObject<RefusedKey['error']>({ code: isString, message: isString })

const totals = { count: isNumber, bytes: isNumber }

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
  url: isString,
  key: isString,
  bucket: isString,
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isLink = isObject<Link>({
  link: isString,
  srcset: isOptional(isString),
  expiresAt: isString,
})

export const isFolderLink = isObject<FolderLink>({ base: isString, expiresAt: isString })

export const isRefusedKey = isObject<RefusedKey>({ key: isString, error: isItemError })

export const isRefusedFile = isObject<RefusedFile>({
  fileName: isOptional(isString),
  key: isOptional(isString),
  error: isItemError,
})

export const isRecordedFiles = isObject<RecordedFiles>({
  files: isListOf(isEither(isFileRecord, isRefusedFile)),
})

export const isLinks = isObject<Links>({
  links: isListOf(
    isEither(
      isObject<{ key: string; link: string; srcset?: string | undefined }>({
        key: isString,
        link: isString,
        srcset: isOptional(isString),
      }),
      isRefusedKey,
    ),
  ),
  expiresAt: isString,
})

export const isDeleted = isObject<Deleted>({
  deleted: isListOf(isEither(isRefusedKey, isObject<{ key: string }>({ key: isString }))),
})

export const isLimits = isObject<Limits>({
  tag: isString,
  scopes: isListOf((value): value is Scope => isString(value)),
  prefix: isString,
  expiresAt: isNullOr(isString),
  answers: isBoolean,
  plugins: isListOf(isString),
  buckets: isListOf(
    isObject<BucketLimits>({
      bucket: isString,
      maxBytes: isNullOr(isNumber),
      allowedTypes: isNullOr(isListOf(isString)),
      maxExpiresIn: isObject<BucketLimits['maxExpiresIn']>({
        upload: isNumber,
        view: isNumber,
        stream: isNumber,
        email: isNumber,
        link: isNumber,
      }),
    }),
  ),
})

export const isUploadUrl = isObject<UploadUrl>({
  uploadUrl: isString,
  key: isString,
  headers: isStringMap,
  expiresIn: isNumber,
  expiresAt: isString,
})

/** Accepts a response of `POST /files/upload-urls`, whose items each need a check. */
export const isUploadUrls = isObject<{ uploads: unknown[] }>({ uploads: isListOf(isAnything) })

/** Accepts a response of `POST /files/batch`, whose items each need a check. */
export const isBatch = isObject<{ files: unknown[] }>({ files: isListOf(isAnything) })

export const isStartedUpload = isObject<StartedUpload>({
  uploadId: isString,
  key: isString,
  partSize: (value): value is number => isNumber(value) && value > 0,
  expiresAt: isString,
})

export const isPartUrls = isObject<PartUrls>({
  urls: isListOf(isObject<PartUrls['urls'][number]>({ partNumber: isNumber, url: isString })),
  expiresIn: isNumber,
  expiresAt: isString,
})

export const isPartList = isObject<PartList>({
  parts: isListOf(
    isObject<PartList['parts'][number]>({ partNumber: isNumber, size: isNumber, etag: isString }),
  ),
})
