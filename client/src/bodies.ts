import type { FileConditions } from './requests.ts'

/** What both ways to upload a file begin with. It has either `fileName` or `key`. */
interface FileRequest extends FileConditions {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
  readonly directory?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly mimetype: string
  /** Bytes. Without it, the Worker checks the size of an upload in parts when it is complete. */
  readonly size?: number | undefined
  readonly bucket?: string | undefined
}

/** Body of `POST /multipart`. */
export interface StartRequest extends FileRequest {
  /** Bytes of each part except the last: 5 MiB to 5 GiB. */
  readonly partSize?: number | undefined
  /** The client's own id of the upload, so that a repeat gets the same new key. */
  readonly startId?: string | undefined
}

/** Body of `POST /files/upload-url`. */
export interface UploadUrlRequest extends FileRequest {
  /** Replaces only an object with this ETag. Needs `key` and `overwrite`. */
  readonly ifMatch?: string | undefined
  /** In base64. */
  readonly sha256?: string | undefined
  /** Seconds. */
  readonly expiresIn?: number | undefined
}

/** Body of `POST /files`. */
export interface RecordRequest {
  readonly key: string
  /** Default for a chosen key: its last segment. */
  readonly name?: string | undefined
  /** Records only an object with this ETag. Otherwise, the code is `file_replaced`. */
  readonly etag?: string | undefined
  readonly bucket?: string | undefined
}

/** Body of `POST /multipart/:uploadId/urls`. */
export interface PartUrlsRequest {
  readonly key: string
  /** 1 to 100 numbers. */
  readonly partNumbers: number[]
  /**
   * Bytes of each part, in the order of `partNumbers`. Only for an upload without `size`, and
   * required if there is a limit. They are signed.
   */
  readonly sizes?: number[] | undefined
  readonly expiresIn?: number | undefined
  readonly bucket?: string | undefined
}

/** Body of `POST /multipart/:uploadId/complete`. */
export interface CompleteRequest {
  readonly key: string
  readonly name?: string | undefined
  /** In ascending order of the numbers. */
  readonly parts: { partNumber: number; etag: string }[]
  /** Replaces only an object with this ETag. Needs an upload that began with `overwrite`. */
  readonly ifMatch?: string | undefined
  readonly bucket?: string | undefined
}

/** Identifies an upload in parts in requests without a body. */
export interface UploadQuery {
  readonly key: string
  readonly bucket?: string | undefined
}
