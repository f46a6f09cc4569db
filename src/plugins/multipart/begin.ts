import type { SigningSettings } from '../../access/settings.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import {
  MAX_OBJECT_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  UPLOAD_MARK,
} from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import { completedObject, isRepeatable, requireVacant } from '../../core/chosen-key.ts'
import { uploadHeaders } from '../../core/signed-headers.ts'
import { requireBytes, requireStatedSize, withLimitOf } from '../../core/size-limit.ts'
import { type UploadSignature, uploadSignature } from '../../core/upload-url.ts'
import { ApiError, invalidMember } from '../../errors/api-error.ts'
import type { WriteOnce } from '../../http/app-env.ts'
import { cutToBytes } from '../../keys/file-name.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { presign } from '../../signing/presign.ts'
import {
  abortMultipartUpload,
  createMultipartUpload,
  type ListedPart,
  listParts,
  listUploads,
} from '../../storage/multipart.ts'
import { sealUploadId, type UploadClaims } from './upload-id.ts'

const MAX_NAME_BYTES = 255

/** Only with a chosen key, `overwrite` is defined. */
export interface MultipartRequest
  extends Omit<UploadFields, 'sha256' | 'size' | 'directory' | 'key'> {
  /** Size in bytes, or null if the client doesn't state it. */
  readonly size: number | null
  /** Bytes of each part except the last, from `planParts`, or null if the client chooses the parts. */
  readonly partSize: number | null
  /** The client's own id of the upload: a repeat with the same one gets the same new key. */
  readonly startId?: string | undefined
}

export interface StartedUpload {
  readonly key: ObjectKey
  /** Sealed: bound to bucket, key and principal. */
  readonly uploadId: string
  /** When the upload id expires, ISO 8601 in UTC. */
  readonly expiresAt: string
}

/** A part to sign. `size` in bytes, if the client states it. */
export interface PartToSign {
  readonly partNumber: number
  readonly size?: number | undefined
}

export interface PartUrls extends Pick<UploadSignature, 'expiresIn' | 'expiresAt'> {
  readonly urls: readonly { readonly partNumber: number; readonly url: string }[]
}

/** An upload that is about to begin. */
interface NewMultipart {
  readonly key: ObjectKey
  /** Id of the principal. */
  readonly owner: string
  readonly began?: WriteOnce['began'] | undefined
}

/** Calls S3 CreateMultipartUpload, and aborts the upload again if `began` throws. */
export async function beginMultipart(
  settings: SigningSettings,
  bucket: Bucket,
  { key, owner, began }: NewMultipart,
  request: MultipartRequest,
  now: Date,
): Promise<StartedUpload> {
  const { size, partSize, overwrite, byApp, startId, ...conditions } = request
  if (overwrite !== undefined)
    await requireVacant(bucket, key, overwrite, bucket.conditionalComplete, now)
  const isOnlyUpload = overwrite === undefined && startId === undefined
  const proof = conditions.metadata?.[UPLOAD_MARK]
  const id = isOnlyUpload ? undefined : crypto.randomUUID()
  const mark = proof === undefined ? id : `${id}.${proof}`
  const marked =
    mark === undefined
      ? conditions
      : { ...conditions, metadata: { ...conditions.metadata, [UPLOAD_MARK]: mark } }
  const s3UploadId = await createMultipartUpload(bucket, key, uploadHeaders(bucket, marked), now)
  await began?.({ key, s3UploadId }).catch(async (error: unknown) => {
    await abortMultipartUpload({ bucket, key, s3UploadId }, now).catch(() => undefined)
    throw error
  })
  const name = cutToBytes(request.fileName, MAX_NAME_BYTES)
  const upload = { bucket: bucket.alias, key, owner, s3UploadId, mark, overwrite, byApp }
  const claims = { ...upload, name, size, partSize, maxBytes: bucket.maxBytes ?? undefined }
  const { uploadId, expiresAt } = await sealUploadId(settings, claims, now)
  return { key, uploadId, expiresAt: expiresAt.toISOString() }
}

/** Presigns S3 UploadPart for each part. Signs the length of a part if it is planned or stated. */
export async function signParts(
  known: Bucket,
  upload: Pick<UploadClaims, 'key' | 's3UploadId' | 'size' | 'partSize' | 'maxBytes'>,
  parts: readonly PartToSign[],
  seconds: number | undefined,
  now: Date,
): Promise<PartUrls> {
  const { key, s3UploadId } = upload
  const bucket = withLimitOf(upload, known)
  const { signing, expiresIn, expiresAt } = uploadSignature(bucket, seconds, now)
  const urls = parts.map(async (part) => {
    const { partNumber } = part
    const query = { partNumber: String(partNumber), uploadId: s3UploadId }
    const length = partLength(bucket, upload, part)
    const headers: Record<string, string> =
      length === undefined ? {} : { 'Content-Length': String(length) }
    const url = await presign({ ...signing, method: 'PUT', key, query, headers })
    return { partNumber, url }
  })
  return { urls: await Promise.all(urls), expiresIn, expiresAt }
}

/**
 * Returns the length to sign for a part, or undefined if none is stated. Each part before has
 * `partSize` bytes, or at least S3's minimum, which bounds what is left for this one.
 */
function partLength(
  bucket: Bucket,
  { size, partSize }: Pick<UploadClaims, 'size' | 'partSize'>,
  { partNumber, size: stated }: PartToSign,
): number | undefined {
  const planned =
    size !== null && partSize !== null ? partBytes(size, partSize, partNumber) : undefined
  const length = planned ?? stated
  const end = (partNumber - 1) * (partSize ?? MIN_PART_BYTES) + (length || Number(size !== 0))
  requireBytes(end, bucket, MAX_OBJECT_BYTES)
  const isPossible =
    end <= (size ?? end) &&
    (length ?? 0) <= (partSize ?? MAX_PART_BYTES) &&
    (stated ?? length) === length
  if (!isPossible)
    throw new ApiError('invalid_part', `This file has no part ${partNumber} of this size.`)
  if (length === undefined && partSize !== null) requireStatedSize(bucket, 'the size of each part')
  return length
}

/** Returns the bucket's list. Throws `upload_not_found`, `not_supported` and `storage_error`. */
export async function uploadedParts(
  bucket: Bucket,
  upload: UploadClaims,
  now: Date,
): Promise<ListedPart[]> {
  const { key, s3UploadId } = upload
  try {
    return await listParts({ bucket, key, s3UploadId }, now)
  } catch (error) {
    // When the upload is over, some servers refuse this to credentials that can't list objects.
    const isDenied = error instanceof ApiError && error.code === 'not_supported'
    if (!isDenied) throw error
    if ((await completedObject(bucket, upload, now)) !== null)
      throw new ApiError('upload_not_found', 'This upload is complete.', { cause: error })
    const { credentials } = bucket
    return await listParts({ bucket, key, s3UploadId, credentials }, now).catch((other) => {
      const isGone = other instanceof ApiError && other.code === 'upload_not_found'
      throw isGone ? other : error
    })
  }
}

/**
 * Aborts the other uploads that began with the `startId` of `upload`, which is complete, if the bucket
 * lists uploads. Their answers never arrived. Otherwise, the bucket's lifecycle rule removes them.
 */
export async function dropRepeats(bucket: Bucket, upload: UploadClaims, now: Date): Promise<void> {
  const { key } = upload
  if (!isRepeatable(upload)) return
  for (const s3UploadId of await listUploads(bucket, key, now))
    await abortMultipartUpload({ bucket, key, s3UploadId }, now)
}

/** Aborts an upload and deletes its parts, like `abortMultipartUpload`. */
export const dropMultipart = (
  bucket: Bucket,
  { key, s3UploadId }: UploadClaims,
  now: Date,
): Promise<void> => abortMultipartUpload({ bucket, key, s3UploadId }, now)

const MIB = 1024 ** 2
/** S3 requires 5 MiB. A larger part needs fewer requests, and a retry still costs little. */
const DEFAULT_PART_BYTES = 8 * MIB

/** How a file is split. The last part has the rest. A file of unknown size has no count yet. */
export interface PartPlan {
  readonly partSize: number
  readonly partCount?: number
}

/**
 * Returns the plan for `size` bytes, at least 1, or null if unknown. All parts except the last have
 * the same size, as R2 requires: `asked` bytes, or a default. If a part could hold more than `max`
 * bytes, the maximum of a file, there is only one. Throws `invalid_request` for too many parts.
 */
export function planParts(size: number | null, asked?: number, max = Infinity): PartPlan {
  if (size === null) return { partSize: Math.min(asked ?? DEFAULT_PART_BYTES, max) }
  const smallest = Math.ceil(size / MAX_PARTS)
  if (asked !== undefined && asked < smallest)
    throw invalidMember('partSize', `must be at least ${smallest}, for ${MAX_PARTS} parts`)
  const partSize = asked ?? Math.max(DEFAULT_PART_BYTES, Math.ceil(smallest / MIB) * MIB)
  return { partSize, partCount: Math.ceil(size / partSize) }
}

/** Returns the bytes of one part. Throws `invalid_part` for a number out of range. */
export function partBytes(size: number, partSize: number, partNumber: number): number {
  const start = (partNumber - 1) * partSize
  if (start >= size)
    throw new ApiError('invalid_part', `This file has ${Math.ceil(size / partSize)} parts.`)
  return Math.min(partSize, size - start)
}
