import { type Principal, requireKey, requireUpload } from '../../access/principal.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_OBJECT_BYTES, MAX_PARTS } from '../../bucket/limits.ts'
import { placeOf } from '../../core/announce.ts'
import { askAboutStep } from '../../core/change.ts'
import {
  completedObject,
  isOfUpload,
  preconditionFailed,
  requireMatch,
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
import type { FileIndex } from '../../records/file-index.ts'
import { isConfirmed } from '../../records/file-record.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  type ListedPart,
  listParts,
  type Part,
} from '../../storage/multipart.ts'
import { deleteObject, headObject, type ObjectHead } from '../../storage/object.ts'
import { unquoted } from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { dropRepeats } from './begin.ts'
import { openUploadId, type UploadClaims } from './upload-id.ts'

/** A complete file, with a warning for the log. */
export interface Finished extends Recorded {
  readonly warning: WarningText | undefined
}

/**
 * Completes an upload and records the file, under `name` or the name from its start. First compares
 * parts and sizes with the bucket's list, if it supports that. Also applies the limit from its
 * start, which may be a token's. Also records a complete upload, so repeating this is safe. Throws
 * `size_mismatch` and `file_too_large`, which abort the upload, since a repeat would be refused
 * too. Every other error leaves its parts: `invalid_part`, `object_exists`, `not_supported`,
 * `upload_not_found`, `storage_error`, `storage_busy`, and what `recordUpload` throws.
 */
export async function finishMultipart(
  place: Place,
  upload: EndedUpload,
  parts: readonly Part[],
  name: string | undefined,
): Promise<Finished> {
  const { index, now } = place
  const { key, owner } = upload
  const bucket = withLimitOf(upload, place.bucket)
  let warning: WarningText | undefined
  /** An object that was there before this request. */
  let old: ObjectHead | null = null
  try {
    const isChecked = await assemble(bucket, upload, parts, now)
    if (!isChecked) warning = 'parts and their size not checked: the bucket lacks ListParts'
  } catch (error) {
    old = mayBeComplete(error) ? await completedObject(bucket, upload, now) : null
    if (old === null) throw await failedMatch(bucket, upload, error, now)
    warning = `complete failed although the object exists: ${describe(error)}`
  }
  // What replaces an object has a size that was checked before.
  const isLimited = bucket.maxBytes !== null || upload.size !== null
  if (isLimited && !isSigned(upload) && upload.overwrite !== true)
    await holdToSize(bucket, index, upload, old, now)
  const isExpected = (head: ObjectHead) => isOfUpload(head, upload)
  const request = { key, name: name ?? upload.name, owner, isExpected }
  return { ...(await recordUpload({ ...place, bucket }, request)), warning }
}

/** An upload to complete. `ifMatch` is the ETag of the object that it may replace. */
export type EndedUpload = UploadClaims & { readonly ifMatch?: string | undefined }

/** Tells whether the bucket itself compares ETags when it completes an upload. */
const checksMatch = ({ conditionalReplace, conditionalComplete }: Bucket): boolean =>
  conditionalReplace && conditionalComplete

/** Returns `error`, or `precondition_failed` if it is the bucket's answer to an `ifMatch`. */
async function failedMatch(
  bucket: Bucket,
  { key, ifMatch }: EndedUpload,
  error: unknown,
  now: Date,
): Promise<unknown> {
  const { cause } = Object(error)
  const isFailed =
    cause instanceof StorageFailure && (cause.status === 412 || cause.s3Code === 'NoSuchKey')
  if (ifMatch === undefined || !isFailed) return error
  return headObject(bucket, key, now).then(
    (head) => preconditionFailed(head, cause),
    () => error,
  )
}

const isSigned = ({ size, partSize }: UploadClaims): boolean => size !== null && partSize !== null

/** Tells whether the bucket refused, or the key has an object. It may be the one of this upload. */
const mayBeComplete = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.cause instanceof StorageFailure || error.code === 'object_exists')

/** Completes the upload. Resolves with whether its parts were compared with the bucket's list. */
async function assemble(bucket: Bucket, claims: EndedUpload, parts: readonly Part[], now: Date) {
  const { key, s3UploadId, size, partSize, ifMatch } = claims
  requireOrder(parts)
  if (size !== null && partSize !== null && parts.length !== Math.ceil(size / partSize))
    throw new ApiError('invalid_part', `This file has ${Math.ceil(size / partSize)} parts.`)
  const overwrite = claims.overwrite === true
  const upload = { bucket, key, s3UploadId, overwrite }
  const isLimited = bucket.maxBytes !== null || size !== null
  // Completing can't be undone: the object that it replaces is lost, even if the new one is too large.
  const needsList = overwrite && isLimited && !isSigned(claims)
  const listed = needsList ? await listParts(upload, now) : await listWhereSupported(upload, now)
  if (listed !== null)
    await requireSize(bucket, size, sumOfParts(parts, listed), () =>
      abortMultipartUpload(upload, now).catch(() => undefined),
    )
  await requireUnused(bucket, claims, now)
  if (ifMatch !== undefined && !checksMatch(bucket))
    await requireMatch(bucket, key, ifMatch, now, claims)
  const condition = checksMatch(bucket) ? { ifMatch } : {}
  await completeMultipartUpload({ ...upload, ...condition }, parts, now)
  return listed !== null
}

/**
 * Deletes a new object that is too large or not of the stated size, which is only known now if no
 * lengths were signed and the bucket lists no parts. An `old` object stays: it may be another one
 * that looks the same. So does a recorded one: some servers complete an upload again.
 */
async function holdToSize(
  bucket: Bucket,
  index: FileIndex,
  upload: UploadClaims,
  old: ObjectHead | null,
  now: Date,
): Promise<void> {
  const { key, size } = upload
  const head = old ?? (await headObject(bucket, key, now))
  if (head === null || !isOfUpload(head, upload)) return
  const entry = await index.get(bucket.alias, key)
  // A bucket's notification records any size.
  if (entry !== null && isConfirmed(entry) && entry.etag === head.etag) return
  await requireSize(bucket, size, head.size, async () => {
    if (old === null) await deleteObject(bucket, key, now)
  })
}

/** Calls `remove` and throws `file_too_large` or `size_mismatch` for a wrong size. */
async function requireSize(
  bucket: Bucket,
  stated: number | null,
  bytes: number,
  remove: () => Promise<void>,
): Promise<void> {
  try {
    requireBytes(bytes, bucket, MAX_OBJECT_BYTES)
    if (stated !== null && bytes !== stated)
      throw new ApiError(
        'size_mismatch',
        `The parts have ${bytes} bytes, but the file has ${stated}.`,
      )
  } catch (error) {
    await remove()
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

async function listWhereSupported(
  upload: Parameters<typeof listParts>[0],
  now: Date,
): Promise<ListedPart[] | null> {
  try {
    return await listParts(upload, now)
  } catch (error) {
    if (error instanceof ApiError && error.code === 'not_supported') return null
    throw error
  }
}

/** Finishes without a deadline. Throws `invalid_name` and what `finishMultipart` throws. */
export async function finishUpload(
  c: AppContext,
  bucket: Bucket,
  upload: EndedUpload,
  parts: Parameters<typeof finishMultipart>[2],
  name: string | undefined,
): Promise<Recorded> {
  if (name !== undefined) requireFileName(name)
  if (upload.ifMatch !== undefined) requireReplacement(upload)
  removeDeadline(c)
  const finished = await finishMultipart(placeOf(c, bucket), upload, parts, name)
  if (finished.warning !== undefined) addWarning(c, finished.warning)
  // An earlier object may have no record.
  const mayReplace = finished.replaces || upload.overwrite === true
  if (mayReplace) await purgeReplaced(c, bucket, [upload.key])
  c.executionCtx.waitUntil(dropRepeats(bucket, upload, timeOf(c)).catch(() => undefined))
  return finished
}

/**
 * Returns the upload with the id in the path, or `uploadId`, of this caller, key and bucket. The
 * caller must still be allowed to write `key`, with the scopes for a chosen one. Asks the plugins'
 * `step`. Throws `invalid_key`, `forbidden`, `unknown_bucket`, `invalid_upload_id`, and what a step throws.
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
  const countParts = async () => {
    const { s3UploadId } = upload
    const parts = await listWhereSupported({ bucket, key: scope.key, s3UploadId }, now)
    return parts?.length ?? null
  }
  await askAboutStep(c, { type, bucket: bucket.alias, key: scope.key, size }, countParts)
  return { bucket, upload, now }
}
