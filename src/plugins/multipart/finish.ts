import { type Principal, requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_OBJECT_BYTES, MAX_PARTS } from '../../bucket/limits.ts'
import { placeOf } from '../../core/announce.ts'
import { askAboutStep } from '../../core/change.ts'
import {
  comparesMatch,
  isOfUpload,
  preconditionFailed,
  requireUnused,
} from '../../core/chosen-key.ts'
import { purgeReplaced } from '../../core/purge.ts'
import type { Place } from '../../core/reconcile.ts'
import { type Recorded, recordUpload } from '../../core/record.ts'
import { requireBytes, withLimitOf } from '../../core/size-limit.ts'
import { requireReplacement } from '../../core/uploads.ts'
import { ApiError, type Issue } from '../../errors/api-error.ts'
import { describe } from '../../errors/describe.ts'
import type { WarningText } from '../../errors/warnings.ts'
import type { AppContext } from '../../http/app-env.ts'
import { chooseOpenBucket } from '../../http/choose-bucket.ts'
import { removeDeadline, timeOf } from '../../http/deadline.ts'
import { addWarning } from '../../http/request-log.ts'
import { requireFileName } from '../../keys/file-name.ts'
import { parseObjectKey } from '../../keys/object-key.ts'
import { type FileRecord, isConfirmed } from '../../records/file-record.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  type ListedPart,
  listParts,
  type MultipartUpload,
  type Part,
} from '../../storage/multipart.ts'
import { deleteObject, headObject, type ObjectHead } from '../../storage/object.ts'
import { unquoted } from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { dropRepeats } from './begin.ts'
import { openUploadId, type UploadClaims } from './upload-id.ts'

/**
 * Returns the upload with the id in the path, or `uploadId`, of this caller, key and bucket. The
 * caller must still be allowed to write `key`, with the scopes for a chosen one. Asks the plugins' `step`.
 */
export async function openUpload(
  c: AppContext,
  alias: string | undefined,
  key: string,
  uploadId = c.req.param('uploadId') ?? '',
): Promise<{ readonly bucket: Bucket; readonly upload: UploadClaims; readonly now: Date }> {
  const now = timeOf(c)
  const principal: Principal = c.get('principal')
  const scope = { key: parseObjectKey(key), owner: principal.id }
  requireKey(principal, 'files:upload', scope.key)
  const bucket = await chooseOpenBucket(c, alias, scope.key)
  const settings = c.get('settings')
  const upload = await openUploadId(settings, { ...scope, bucket: bucket.alias }, uploadId, now)
  requireUpload(principal, scope.key, upload)
  const type = c.req.method === 'DELETE' ? 'abort' : 'parts'
  const size = upload.size ?? undefined
  const listedBytes = async () => {
    const { s3UploadId } = upload
    const parts = await listWhereSupported({ bucket, key: scope.key, s3UploadId }, now)
    return parts?.reduce((sum, part) => sum + part.size, 0) ?? null
  }
  await askAboutStep(c, { type, bucket: bucket.alias, key: scope.key, size }, listedBytes)
  return { bucket, upload, now }
}

/** Returns the bucket's list of the parts, or null if it lacks ListParts. */
const listWhereSupported = (upload: MultipartUpload, now: Date): Promise<ListedPart[] | null> =>
  listParts(upload, now).catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 'not_supported') return null
    throw error
  })

/** An upload to complete. `ifMatch` is the ETag of the object that it may replace. */
export type EndedUpload = UploadClaims & { readonly ifMatch?: string | undefined }

/** Finishes an upload without a deadline, with what else the log, the caches and the bucket need. */
export async function finishUpload(
  c: AppContext,
  bucket: Bucket,
  upload: EndedUpload,
  parts: readonly Part[],
  name: string | undefined,
): Promise<Recorded> {
  if (name !== undefined) requireFileName(name)
  requireReplacement(upload)
  removeDeadline(c)
  const finished = await finishMultipart(placeOf(c, bucket), upload, parts, name)
  if (finished.warning !== undefined) addWarning(c, finished.warning)
  // The object that it has replaced may have no record.
  const mayReplace = finished.replaces || upload.overwrite === true
  if (mayReplace) await purgeReplaced(c, bucket, [upload.key])
  c.executionCtx.waitUntil(dropRepeats(bucket, upload, timeOf(c)).catch(() => undefined))
  return finished
}

/** A complete file, with a warning for the log. */
export interface Finished extends Recorded {
  readonly warning: WarningText | undefined
}

/**
 * Completes an upload and records the file, under `name` or the name from its start. First compares
 * parts and sizes with the bucket's list, if it supports that. Also applies the limit from its
 * start, which may be a token's. Also records a complete upload, so repeating this is safe. Aborts the
 * upload for `size_mismatch` and `file_too_large`, since a repeat would be refused too. Every other error
 * leaves its parts.
 */
export async function finishMultipart(
  place: Place,
  upload: EndedUpload,
  parts: readonly Part[],
  name: string | undefined,
): Promise<Finished> {
  const { now } = place
  const { key, owner, s3UploadId, size, partSize } = upload
  const bucket = withLimitOf(upload, place.bucket)
  const overwrite = upload.overwrite === true
  const ifMatch = comparesMatch(bucket) ? upload.ifMatch : undefined
  const stored = { bucket, key, s3UploadId, overwrite, ifMatch }
  // The lengths of planned parts are signed, so that they have the stated size.
  const isPlanned = size !== null && partSize !== null
  const mayHaveWrongSize = !isPlanned && (bucket.maxBytes !== null || size !== null)

  requireOrder(parts)
  if (isPlanned) requireCount(parts, Math.ceil(size / partSize))
  let warning: WarningText | undefined
  /** The object of this upload, if it was complete before this request. */
  let old: ObjectHead | null = null
  try {
    // Completing can't be undone: the object that it replaces is lost, even if the new one is too large.
    const mustList = mayHaveWrongSize && overwrite
    const listed = await (mustList ? listParts(stored, now) : listWhereSupported(stored, now))
    if (listed === null) warning = 'parts and their size not checked: the bucket lacks ListParts'
    const listedError = listed && sizeError(bucket, size, sumOfParts(parts, listed))
    if (listedError !== null) {
      await abortMultipartUpload(stored, now).catch(() => undefined)
      throw listedError
    }
    await requireUnused(bucket, upload, now)
    await completeMultipartUpload(stored, parts, now)
  } catch (error) {
    old = await completedBefore(bucket, upload, error, now)
    warning = `complete failed although the object exists: ${describe(error)}`
  }
  let wrongSize: unknown
  const isExpected = (head: ObjectHead, known: FileRecord | null): boolean => {
    if (!isOfUpload(head, upload)) return false
    // A recorded object stays: some servers complete an upload again. A notification records any size.
    const isRecorded = known !== null && isConfirmed(known) && known.etag === head.etag
    if (mayHaveWrongSize && !overwrite && !isRecorded) {
      wrongSize = sizeError(bucket, size, head.size)
      if (wrongSize !== null) throw wrongSize
    }
    return true
  }
  try {
    const request = { key, name: name ?? upload.name, owner, isExpected }
    return { ...(await recordUpload({ ...place, bucket }, request)), warning }
  } catch (error) {
    // An old object stays, since it may be another one that looks the same.
    if (error === wrongSize && old === null) await deleteObject(bucket, key, now)
    throw error
  }
}

/** Throws unless the parts are in ascending order and unique, as S3 requires. */
function requireOrder(parts: readonly Part[]): void {
  const issues = parts.flatMap(({ partNumber }, index): Issue[] => {
    const previous = parts[index - 1]?.partNumber ?? 0
    if (partNumber > previous && partNumber <= MAX_PARTS) return []
    const message = `must be higher than the one before, and at most ${MAX_PARTS}`
    return [{ path: `parts.${index}.partNumber`, message }]
  })
  if (issues.length > 0)
    throw new ApiError('invalid_part', 'The parts must be unique and in ascending order.', {
      issues,
    })
}

function requireCount(parts: readonly Part[], count: number): void {
  if (parts.length !== count) throw new ApiError('invalid_part', `This file has ${count} parts.`)
}

/** Returns the listed size of `parts`. Throws `invalid_part` for missing or different ones. */
function sumOfParts(parts: readonly Part[], listed: readonly ListedPart[]): number {
  const byNumber = new Map(listed.map((part) => [part.partNumber, part]))
  const issues: Issue[] = []
  let bytes = 0
  for (const [index, { partNumber, etag }] of parts.entries()) {
    const known = byNumber.get(partNumber)
    if (known?.etag === `"${unquoted(etag)}"`) bytes += known.size
    else if (known === undefined)
      issues.push({ path: `parts.${index}.partNumber`, message: 'was not uploaded' })
    else issues.push({ path: `parts.${index}.etag`, message: 'does not match the uploaded part' })
  }
  if (issues.length === 0) return bytes
  throw new ApiError('invalid_part', 'Some of these parts are missing or have another ETag.', {
    issues,
  })
}

/** Returns `file_too_large` or `size_mismatch` for a wrong size, or null. */
function sizeError(bucket: Bucket, stated: number | null, bytes: number): unknown {
  try {
    requireBytes(bytes, bucket, MAX_OBJECT_BYTES)
  } catch (error) {
    return error
  }
  if (stated === null || bytes === stated) return null
  const message = `The parts have ${bytes} bytes, but the file has ${stated}.`
  return new ApiError('size_mismatch', message)
}

/**
 * Returns the object of an upload that could not be completed with `error`, because an earlier request
 * has completed it. Throws `error` for any other object or none, and `precondition_failed` if it
 * is the bucket's answer to an `ifMatch`.
 */
async function completedBefore(
  bucket: Bucket,
  upload: EndedUpload,
  error: unknown,
  now: Date,
): Promise<ObjectHead> {
  if (!(error instanceof ApiError)) throw error
  const { cause } = error
  const isRefused = cause instanceof StorageFailure
  if (!isRefused && error.code !== 'object_exists') throw error
  const head = await headObject(bucket, upload.key, now).catch(() => undefined)
  if (head && isOfUpload(head, upload)) return head
  const isUnmatched = isRefused && (cause.status === 412 || cause.s3Code === 'NoSuchKey')
  if (upload.ifMatch !== undefined && isUnmatched && head !== undefined)
    throw preconditionFailed(head, cause)
  throw error
}
