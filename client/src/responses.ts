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
