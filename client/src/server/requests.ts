import type { Scope } from '../answers/files.ts'
import type { RecordRequest, UploadUrlRequest } from '../bodies.ts'
import type {
  ChosenKey,
  FileConditions,
  FileQuestion,
  GeneratedKey,
  Replacement,
  UrlUse,
} from '../requests.ts'

/** Body of `POST /tokens`. Each member only narrows what the API key may do. */
export interface TokenRequest {
  /** Only API keys can have `index:write` and `upkeep:run`. */
  readonly scopes: Exclude<Scope, 'index:write' | 'upkeep:run'>[]
  /** Empty, or ends with `/`. */
  readonly prefix?: string | undefined
  /** Seconds. */
  readonly expiresIn?: number | undefined
  /** Your user's id: 1 to 128 of `A-Za-z0-9._@:-`. */
  readonly subject?: string | undefined
  /** Aliases. The first one is the default. */
  readonly buckets?: readonly string[] | undefined
  /** Largest file, in bytes. */
  readonly maxBytes?: number | undefined
  /** Media types, such as `image/png` or `image/*`. */
  readonly allowedTypes?: readonly string[] | undefined
  /** Longest lifetime of what the token signs, in seconds. */
  readonly maxExpiresIn?: number | undefined
  /** JSON of up to 1 KB, which comes back in every event. */
  readonly context?: unknown
}

/** One file in `POST /files/upload-urls`. It has either `fileName` or `key`. */
export type FileToUpload = FileConditions &
  Pick<UploadUrlRequest, 'mimetype' | 'size' | 'sha256'> &
  (
    | (GeneratedKey & { readonly fileName: string })
    | ((ChosenKey | Replacement) & { readonly fileName?: undefined })
  )

/** One file in `POST /files/batch`. */
export type FileToRecord = Omit<RecordRequest, 'bucket'>

/** Which files `list` returns. */
export interface ListAllOptions extends FileQuestion {
  /** Files in one request: 1 to 1000. Default: 100. */
  readonly pageSize?: number | undefined
  /** Adds a `url` for this use to each file. */
  readonly urls?: UrlUse | undefined
}

/** Which records `exportFiles` returns, and how. */
export interface ExportOptions {
  /** Only keys that start with this. */
  readonly prefix?: string | undefined
  /** Default: `ndjson`. CSV is for spreadsheets. */
  readonly format?: 'ndjson' | 'csv' | undefined
}

/** Which folders `listFolders` returns. `prefix` is empty or ends with `/`. */
export type FolderOptions = Pick<ListAllOptions, 'prefix' | 'pageSize'>

/** Which objects `objects` returns. */
export interface ObjectsOptions {
  /** Only keys that start with this. */
  readonly prefix?: string | undefined
  /** Only objects directly below `prefix`, and the folders there. */
  readonly delimiter?: '/' | undefined
  /** Objects and folders in one request: 1 to 1000. */
  readonly pageSize?: number | undefined
}
