/** What a GET URL is for. Sets its lifetime, unless you give `expiresIn`. */
export type UrlUse = 'view' | 'stream' | 'email'

/** What you can set for a file before you upload it. */
export interface FileConditions {
  /** Names consist of a-z, 0-9 and `-`. The bucket stores them as `x-amz-meta-…`. */
  readonly metadata?: Record<string, string> | undefined
  /** The Cache-Control header that the bucket returns. */
  readonly cacheControl?: string | undefined
  /** The Content-Disposition header that the bucket returns (RFC 6266, in ASCII). */
  readonly contentDisposition?: string | undefined
  /** How you compressed the file, such as `gzip`. */
  readonly contentEncoding?: string | undefined
}

/** The API makes a new key. */
export interface GeneratedKey {
  /** Folder of the key, below the prefix: `2026/november`. Not with `key`. */
  readonly directory?: string | undefined
  readonly key?: undefined
  readonly overwrite?: false | undefined
  readonly ifMatch?: undefined
}

/** You choose the key. Needs the scope `keys:choose`. */
export interface ChosenKey {
  /** The object's key, instead of a generated one. */
  readonly key: string
  /** Replaces the object under `key`. Needs the scope `files:delete`. */
  readonly overwrite?: boolean | undefined
  readonly directory?: undefined
  readonly ifMatch?: undefined
}

/** You may choose the key. */
interface MaybeChosenKey {
  readonly key?: string | undefined
  readonly directory?: undefined
  readonly overwrite?: false | undefined
  readonly ifMatch?: undefined
}

/** You choose the key, and which object the file may replace. */
export interface Replacement {
  readonly key: string
  readonly directory?: undefined
  readonly overwrite: boolean
  /**
   * Replaces the object only if it has this ETag, which `FileRecord.etag` has. Otherwise, the code is
   * `precondition_failed`. Needs `key` and `overwrite`.
   */
  readonly ifMatch?: string | undefined
}

/** What a file is called, and what it may replace. */
export type TargetOptions = FileConditions &
  (GeneratedKey | MaybeChosenKey | ChosenKey | Replacement) & {
    /** Display name of the file. Default: the name of the File or the path. */
    readonly fileName?: string | undefined
  }

/** Options of an upload that can be set for each file. */
export type FileOptions = TargetOptions & (InParts | Verified)

interface InParts {
  /** Whether the file goes in parts. Default: from 32 MiB on. An empty file never does. */
  readonly multipart?: boolean | undefined
  readonly sha256?: false | undefined
}

interface Verified {
  readonly multipart?: false | undefined
  /**
   * Makes the bucket verify the SHA-256 of the file. Sends the file in one request, and reads it
   * into memory.
   */
  readonly sha256?: boolean | undefined
}

/** Query of `DELETE /files/:key`. */
export interface RemoveOptions {
  /** Deletes only an object with this ETag. Otherwise, the code is `precondition_failed`. */
  readonly etag?: string | undefined
}

/** A file of `POST /files/delete`. */
export interface FileToRemove extends RemoveOptions {
  readonly key: string
}

/** Body of `POST /files/copy` and `POST /files/move`, without its keys. */
export interface CopyOptions {
  /** Alias of the target's bucket, at the same endpoint. Default: the bucket of the client. */
  readonly toBucket?: string | undefined
  /** Whether it may replace an object under the target's key. Needs the scope `files:delete`. */
  readonly overwrite?: boolean | undefined
  /** The display name. Default: that of the source. */
  readonly name?: string | undefined
  /** Copies only an object with this ETag. Otherwise, the code is `file_replaced`. */
  readonly etag?: string | undefined
}

/** The orders of a list. `-` is descending. */
export type Sort = 'createdAt' | '-createdAt' | 'name' | '-name' | 'size' | '-size'

/** What `stats` groups by. */
export type GroupBy = 'type' | 'owner' | 'day' | 'folder'

/**
 * Which files a list has, and in which order. Every condition must hold. All except `prefix` need an
 * index with `answers`, such as one in D1. Otherwise, the code is `not_supported`.
 */
export interface FileQuestion {
  /** Only keys that start with this. */
  readonly prefix?: string | undefined
  /** Words of the name, or their beginnings. Case and accents don't matter. */
  readonly q?: string | undefined
  /** Default: the order of the keys, newest first for generated ones. */
  readonly sort?: Sort | undefined
  /** A media type such as `image/png`, or `image/*`. */
  readonly type?: string | undefined
  /** Id of who recorded the file. */
  readonly owner?: string | undefined
  /** Files created at this time or later, ISO 8601. */
  readonly createdAfter?: string | undefined
  /** Files created before this time, ISO 8601. */
  readonly createdBefore?: string | undefined
  /** Bytes. */
  readonly minSize?: number | undefined
  /** Bytes. */
  readonly maxSize?: number | undefined
}

/** Which page of a list. */
interface Paging {
  /** 1 to 1000. Default: 100. */
  readonly limit?: number | undefined
  /** `cursor` of the previous page. */
  readonly cursor?: string | undefined
  /** Adds a `url` for this use to each file. */
  readonly urls?: UrlUse | undefined
}

/** A list of files, or of folders and files. */
export interface ListQuestion extends FileQuestion {
  /** Lists folders, and the files directly below `prefix`. Not with `q` or a filter. */
  readonly delimiter?: '/' | undefined
}

/** Query of `GET /files`. */
export interface ListOptions extends ListQuestion, Paging {}

/** Query of `GET /stats`. */
export interface StatsOptions {
  /** Only keys that start with this. */
  readonly prefix?: string | undefined
  readonly groupBy?: GroupBy | undefined
}

/** Query of `GET /files/:key/url`. */
export interface UrlOptions {
  readonly use?: UrlUse | undefined
  /** Seconds. */
  readonly expiresIn?: number | undefined
  /** Name to save under: the object comes as an attachment. */
  readonly download?: string | undefined
  /** Also shows types that can run scripts. */
  readonly inline?: boolean | undefined
  /** Returns the same URL to every caller for a while, so that caches can serve it. */
  readonly stable?: boolean | undefined
  /** A version of the object, if the bucket keeps versions. */
  readonly versionId?: string | undefined
}

/** Who may open a link, and when it starts to work. Other requests get 403. */
export interface LinkRestrictions {
  /** ISO 8601 in UTC. The link then expires exactly `expiresIn` after this date. */
  readonly notBefore?: string | undefined
  /** Addresses and ranges of the clients, IPv4 or IPv6, such as `192.0.2.0/24`: 1 to 16. */
  readonly ips?: readonly string[] | undefined
  /** Countries of the clients in ISO 3166 alpha-2, such as `DE`: 1 to 64. Only on Cloudflare. */
  readonly countries?: readonly string[] | undefined
  /** All countries except these, instead of `countries`. */
  readonly notCountries?: readonly string[] | undefined
}

/** An image in one width, or else the original. */
interface MaybeResized {
  readonly width?: number | undefined
  readonly widths?: undefined
  readonly format?: undefined
  readonly fallback?: undefined
}

interface Resized {
  /** Default: `auto`, the best format that the browser accepts. */
  readonly format?: 'auto' | 'avif' | 'webp' | 'jpeg' | 'png' | undefined
  /** Shows the original if an image can't be resized. */
  readonly fallback?: 'original' | undefined
}

/** An image in one width. */
interface OneWidth extends Resized {
  /** Shows images in this width, one of the Worker's `IMAGE_WIDTHS`. Default: the original. */
  readonly width: number
  readonly widths?: undefined
}

/** An image in several widths. */
interface SeveralWidths extends Resized {
  readonly width?: undefined
  /** Returns `srcset` with these widths, instead of `width`. */
  readonly widths: readonly number[]
}

/** The Worker sends the file, which it can restrict and resize. */
type Streamed = LinkRestrictions &
  (MaybeResized | OneWidth | SeveralWidths) & {
    /** `stream` sends the file through the Worker and its cache. `redirect` redirects to the bucket. */
    readonly delivery?: 'stream' | undefined
  }

/** The bucket may send the file, to anybody and as it is. */
interface Redirected
  extends Partial<
    Record<
      | 'width'
      | 'widths'
      | 'format'
      | 'fallback'
      | 'notBefore'
      | 'ips'
      | 'countries'
      | 'notCountries',
      undefined
    >
  > {
  readonly delivery?: 'redirect' | 'stream' | undefined
}

interface LinkLifetime {
  /** Seconds. The lifetime of a link is one to two times this long. */
  readonly expiresIn?: number | undefined
}

/** Body of `POST /links`, without its keys. */
export type LinksOptions = LinkLifetime & (Streamed | Redirected)

/** Body of `POST /links/folder`, without its prefix. */
export interface FolderLinkOptions extends LinkLifetime, LinkRestrictions {}

/** Body of `POST /files/:key/link`. */
export type LinkOptions = LinksOptions & {
  /** Name to save under: the object comes as an attachment. */
  readonly download?: string | undefined
}
