import type { Principal } from '../access/principal.ts'
import type { UploadFields } from '../bucket/upload-fields.ts'
import type { ErrorCode } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { FileChange } from '../records/file-event.ts'
import type { FileIndex } from '../records/file-index.ts'

/** What the app around a mounted presigner adds to a request. */
export interface Host {
  /** Path before the presigner's own, as written in the URL: empty or `/media`. */
  readonly mountPath: string
  /** Null if the built-in credentials apply. */
  readonly authenticate: (() => Promise<Principal | null>) | null
  /** Returns `UploadChanges`, unchecked. */
  readonly beforeUpload: ((file: NewFile, principal: Principal) => Promise<unknown>) | null
  /** Returns `DeleteAnswer`, unchecked. */
  readonly beforeDelete:
    | ((file: DeletedFile, principal: Principal | null) => Promise<unknown>)
    | null
  /** Returns `DownloadAnswer`, unchecked. */
  readonly beforeDownload: ((file: SharedFile, principal: Principal) => Promise<unknown>) | null
}

/** A rate limit by key, such as Cloudflare's rate limiting binding. */
export interface RateLimiter {
  limit(request: { key: string }): Promise<{ readonly success: boolean }>
}

/** The log line of one request. Members that don't apply are missing. */
export interface LogLine {
  readonly requestId?: string | undefined
  readonly method: string
  readonly route?: string | undefined
  readonly status: number
  readonly milliseconds: number
  readonly principal?: string | undefined
  readonly bucket?: string | undefined
  readonly cache?: string | undefined
  readonly warning?: string | undefined
  readonly code?: ErrorCode | undefined
  readonly message?: string | undefined
  readonly reason?: string | undefined
}

/** A file that a client wants to upload. Only for a chosen key, `overwrite` is defined. */
export interface NewFile
  extends Pick<UploadFields, 'mimetype' | 'size' | 'directory' | 'metadata' | 'overwrite'> {
  /** Alias of the bucket. */
  readonly bucket: string
  /** For a chosen key, its last segment unless the client sends another name. */
  readonly fileName: string
  /** The key that the client chose. Undefined for a generated one. */
  readonly key?: string | undefined
}

/** What the app changes about an upload before it is signed. Its members replace the client's. */
export type UploadChanges = ChosenUpload &
  ({ readonly key?: undefined } | { readonly directory?: undefined })

interface ChosenUpload {
  /**
   * The object's key, instead of a generated one or the client's. It must be below the prefix of the
   * principal, who needs no `keys:choose` for it. Can't be combined with `directory`.
   */
  readonly key?: string | undefined
  /**
   * Whether the upload may replace an object under the key, which then needs no `files:delete`.
   * Default for a key from the app: false.
   */
  readonly overwrite?: boolean | undefined
  /** The `Content-Disposition` that the bucket returns (RFC 6266), such as `attachment`. */
  readonly contentDisposition?: string | undefined
  /** The `Cache-Control` that the bucket returns. */
  readonly cacheControl?: string | undefined
  /** Tags of the object, up to 10. The access key for uploads needs s3:PutObjectTagging. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** S3's storage class of the object, such as `STANDARD_IA`. */
  readonly storageClass?: string | undefined
  /**
   * Folder under `uploads/`: segments separated by `/`. With it, the app decides where files go, so a
   * chosen key is refused with `forbidden`.
   */
  readonly directory?: string | undefined
  /**
   * S3's user-defined metadata, instead of all that the client sent. Names have up to 64 letters,
   * digits, "_", "." and "-", and are stored in lower case.
   */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Refuses the upload. The client receives `forbidden` with this message. */
  readonly refuse?: string | undefined
}

/** A file that a client wants to delete. */
export interface StoredFile {
  /** Alias of the bucket. */
  readonly bucket: string
  readonly key: string
}

/** A file that is about to be deleted. */
export interface DeletedFile extends StoredFile {
  /** Who asks: a `request` of a principal, or `upkeep`, for a file that has no owner. Then the principal is null. */
  readonly kind: 'request' | 'upkeep'
}

/** What the app says about a delete. */
export interface DeleteAnswer {
  /** Refuses the delete. The client receives `forbidden` with this message. */
  readonly refuse?: string | undefined
}

/** A file that a client wants to read, by a URL or a link, or to copy. */
export interface SharedFile extends StoredFile {
  /**
   * `url` is a signed URL of the bucket. `link` is one of the presigner. A `folder` link is for every
   * file whose key starts with `key`, which ends with `/`. A `copy` or a move reads its source. A `grant`
   * is asked about when it is created, and at each use.
   */
  readonly kind: 'url' | 'link' | 'folder' | 'copy' | 'grant'
}

/** What the app says about reading or copying a file. */
export interface DownloadAnswer {
  /** Refuses the read or the copy. The client receives `forbidden` with this message. */
  readonly refuse?: string | undefined
}

/** What a request is about to do to one object. */
export type Change = Upload | Deletion

/** An upload that is about to be signed or started. Only a chosen key has an `overwrite`. */
interface Upload extends Omit<Deletion, 'type'>, Pick<UploadFields, 'mimetype' | 'overwrite'> {
  readonly type: 'upload'
  /** In bytes. Undefined if the client doesn't state it. */
  readonly size: number | undefined
}

/** The object that is about to be deleted. `bucket` is an alias. */
export interface Deletion {
  readonly type: 'delete'
  readonly bucket: string
  readonly key: ObjectKey
}

/** A later step of an upload in parts. `bucket` is an alias. */
export interface UploadStep extends Omit<Deletion, 'type'> {
  readonly type: 'parts' | 'abort'
  /** In bytes. Undefined if the client doesn't state it. */
  readonly size: number | undefined
}

/** Who asks for a change. */
export interface Requester {
  readonly principal: Principal
}

// biome-ignore-start lint/suspicious/noConfusingVoidType: a function that returns nothing is an answer
/**
 * Refuses a change by throwing an error of this package or an HTTPException, which the client gets.
 * Anything else is 500 `internal`.
 */
export type Check = (change: Change, by: Requester) => void | Promise<void>

/**
 * Does what a change needs, such as counting its bytes, and returns how to undo that. May refuse it
 * like a check. Bucket and key identify a reservation: a repeated start with the same `startId` has
 * the same key, and so has each upload to a chosen key. For what is already reserved, do and return
 * nothing, and let the earlier undo do nothing from then on: if the earlier request fails, this one
 * still needs what is reserved. A URL, a form or a step is reserved when it is signed. A
 * reservation must end by itself, since the client may never send the file. One for a failed delete
 * is undone even if the object may be gone: the client repeats the delete.
 */
export type Reserve = (change: Change, by: Requester) => Undo | void | Promise<Undo | void>

type Undo = () => void | Promise<void>

/** Resolves with the bytes of the parts that the bucket lists, or null if it lists none. */
export type ListedBytes = () => Promise<number | null>

/** Refuses a step like a check. It may remember that the upload goes on. */
export type Step = (
  step: UploadStep,
  by: Requester & { readonly listedBytes: ListedBytes },
) => void | Promise<void>

/** Refuses a record like a check. `index` is the one that will have the record. */
export type Settle = (
  change: FileChange,
  by: Requester & { readonly index: FileIndex },
) => void | Promise<void>
// biome-ignore-end lint/suspicious/noConfusingVoidType: a function that returns nothing is an answer
