import type { KeySeed } from '../access/key-seed.ts'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import type { UploadFields } from '../bucket/upload-fields.ts'
import { requireFileName } from '../keys/file-name.ts'
import { newObjectKey } from '../keys/new-key.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { resolveValidity } from '../signing/expiry.ts'
import { presignMany } from '../signing/presign-many.ts'
import { requireContentType } from './content-type.ts'
import { uploadHeaders } from './signed-headers.ts'
import { requireBytes, requireStatedSize } from './size-limit.ts'

/** A file that a client is about to upload. */
export interface PlannedUpload extends Omit<UploadFields, 'size'> {
  /** In bytes. Undefined if not stated, which a limit refuses. Null if checked elsewhere. */
  readonly size?: number | null | undefined
  /** Replaces the time and the random bytes of a new key. */
  readonly seed?: KeySeed | undefined
}

/** How a client names a file: by its own name, or by a key that it chooses. */
export interface Naming extends Pick<UploadFields, 'overwrite'> {
  readonly fileName?: string | undefined
  readonly key?: string | undefined
  /** ETag of the object that the upload may replace. */
  readonly ifMatch?: string | undefined
}

/** A file that may still lack a name. */
export type Nameable = Naming & Omit<PlannedUpload, keyof Naming>
/** A file with its name, and its key if the client or the app chose one. */
export type Named<File> = File &
  Pick<UploadFields, 'fileName' | 'key' | 'overwrite' | 'byApp' | 'headers'>

/**
 * Returns the key for `file`: the chosen one, or a new one under `prefix` (empty, or ending with
 * `/`). The upload may have at most `s3Max` bytes. Throws, in this order, `invalid_name`, `invalid_key`,
 * `invalid_mimetype`, `mimetype_not_allowed`, `type_mismatch`, `size_required` and `file_too_large`.
 */
export function newUpload(
  bucket: Bucket,
  { key: chosen, fileName, mimetype, directory, size, seed }: PlannedUpload,
  prefix: string,
  s3Max: number,
  now: Date,
): ObjectKey {
  requireFileName(fileName)
  const key = chosen ?? newObjectKey({ fileName, prefix, directory, now, ...seed })
  requireContentType(mimetype, key, bucket)
  if (size === undefined) requireStatedSize(bucket)
  else if (size !== null) requireBytes(size, bucket, s3Max)
  return key
}

/** The common input of an upload's signatures, and their expiry. */
export interface UploadSignature {
  readonly signing: {
    readonly bucket: Bucket
    readonly credentials: Credentials
    readonly signedAt: Date
    readonly signedSeconds: number
  }
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Returns how to sign an upload. Throws `invalid_expiry` and `misconfigured`. */
export function uploadSignature(
  bucket: Bucket,
  expiresIn: number | undefined,
  now: Date,
): UploadSignature {
  const credentials = bucket.uploadCredentials
  const validity = resolveValidity({ use: 'upload', expiresIn, bucket, credentials, now })
  const { signedAt, signedSeconds, expiresInSeconds, expiresAt } = validity
  return {
    signing: { bucket, credentials, signedAt, signedSeconds },
    expiresIn: expiresInSeconds,
    expiresAt: expiresAt.toISOString(),
  }
}

/** `size` is signed as Content-Length, if it is given. `keepExisting` has checked a chosen key. */
export interface UploadRequest extends UploadFields, Pick<PlannedUpload, 'seed'> {
  /** Lifetime in seconds. Default: the bucket's default. */
  readonly expiresIn?: number | undefined
}

export interface UploadUrl {
  readonly uploadUrl: string
  readonly key: ObjectKey
  /** Alias of the bucket. */
  readonly bucket: string
  readonly method: 'PUT'
  /** The headers that the client must send. A browser adds its own. */
  readonly headers: Readonly<Record<string, string>>
  /** Whole seconds from now. */
  readonly expiresIn: number
  /** ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** Returns a signed PUT. Throws what `uploadSignature` and `uploadHeaders` throw. */
export function createUploadUrl(
  bucket: Bucket,
  key: ObjectKey,
  request: UploadRequest,
  now: Date,
): Promise<UploadUrl> {
  const { size } = request
  const { signing, expiresIn, expiresAt } = uploadSignature(bucket, request.expiresIn, now)
  const headers = uploadHeaders(bucket, request)
  const presignKey = presignMany({
    ...signing,
    method: 'PUT',
    headers: size === undefined ? headers : { ...headers, 'Content-Length': String(size) },
  })
  return presignKey(key).then((uploadUrl) => ({
    uploadUrl,
    key,
    bucket: bucket.alias,
    method: 'PUT' as const,
    headers,
    expiresIn,
    expiresAt,
  }))
}
