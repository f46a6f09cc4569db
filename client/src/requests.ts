/** What a GET URL is for; it decides how long the URL works unless `expiresIn` says so. */
export type UrlUse = 'view' | 'stream' | 'email'

/** What a caller may fix about a file before it is uploaded. */
export interface FileConditions {
  /** Folder of the key below the prefix: `2026/november`. */
  readonly directory?: string | undefined
  /** Names of a-z, 0-9 and `-`; the bucket keeps them as `x-amz-meta-…`. */
  readonly metadata?: Record<string, string> | undefined
  /** What the bucket answers as Cache-Control. */
  readonly cacheControl?: string | undefined
}

/** Body of `POST /multipart`. */
export interface StartRequest extends FileConditions {
  readonly fileName: string
  readonly mimetype: string
  /** Bytes. */
  readonly size: number
  readonly bucket?: string | undefined
}

/** Body of `POST /files/upload-url`. */
export interface UploadUrlRequest extends FileConditions {
  readonly fileName: string
  readonly mimetype: string
  /** Bytes. */
  readonly size?: number | undefined
  /** In base64. */
  readonly sha256?: string | undefined
  readonly overwrite?: boolean | undefined
  /** Seconds. */
  readonly expiresIn?: number | undefined
  readonly bucket?: string | undefined
}

/** Body of `POST /files`. */
export interface RecordRequest {
  readonly key: string
  readonly name: string
  readonly bucket?: string | undefined
}

/** Body of `POST /multipart/:uploadId/urls`. */
export interface PartUrlsRequest {
  readonly key: string
  /** 1 to 100 of them. */
  readonly partNumbers: number[]
  readonly expiresIn?: number | undefined
  readonly bucket?: string | undefined
}

/** Body of `POST /multipart/:uploadId/complete`. */
export interface CompleteRequest {
  readonly key: string
  readonly name?: string | undefined
  /** By ascending number. */
  readonly parts: { partNumber: number; etag: string }[]
  readonly bucket?: string | undefined
}

/** Which upload in parts, for those requests that have no body. */
export interface UploadQuery {
  readonly key: string
  readonly bucket?: string | undefined
}

/** Query of `GET /files`. */
export interface ListOptions {
  /** Start of the keys. */
  readonly prefix?: string | undefined
  /** 1 to 1000; 100 unless given. */
  readonly limit?: number | undefined
  /** `cursor` of the page before. */
  readonly cursor?: string | undefined
  /** Gives each file a `url` for this use. */
  readonly urls?: UrlUse | undefined
}

/** Query of `GET /files/:key/url`. */
export interface UrlOptions {
  readonly use?: UrlUse | undefined
  /** Seconds. */
  readonly expiresIn?: number | undefined
  /** Name to save under: the object comes as an attachment. */
  readonly download?: string | undefined
  /** Shows what could run script, too. */
  readonly inline?: boolean | undefined
  /** The same URL for every caller within a window, so that caches can answer. */
  readonly stable?: boolean | undefined
}

/** Body of `POST /links`, beside its keys. */
export interface LinksOptions {
  /** Seconds; a link lives for one to two times as long. */
  readonly expiresIn?: number | undefined
  /** `stream`: through the Worker and its cache; `redirect`: a redirect to the bucket. */
  readonly delivery?: 'stream' | 'redirect' | undefined
}

/** Body of `POST /files/:key/link`. */
export interface LinkOptions extends LinksOptions {
  /** Name to save under: the object comes as an attachment. */
  readonly download?: string | undefined
}
