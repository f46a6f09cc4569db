import type { Bucket } from '../bucket/bucket.ts'
import type { UploadFields } from '../bucket/upload-fields.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { headObject, type ObjectHead } from '../storage/object.ts'
import { objectExists, unquoted } from '../storage/s3.ts'
import { StorageFailure } from '../storage/storage-failure.ts'

/** A key that other uploads may have too. */
interface SharedKey {
  readonly key: ObjectKey
  /** Whether the upload may replace an object. Only for a key that the client chose. */
  readonly overwrite?: boolean | undefined
  /** Random text in the metadata of the object that the upload makes. */
  readonly mark?: string | undefined
}

/**
 * Throws `object_exists` if an upload would replace an object and must not, and `not_supported` if
 * the bucket doesn't let the Worker look. Does nothing for a generated key (`overwrite` undefined),
 * if it may replace an object, or if `isConditional`: the bucket then refuses the upload itself.
 * Another upload can still create the object between this and the end of the upload.
 */
export async function requireVacant(
  bucket: Bucket,
  key: ObjectKey,
  overwrite: boolean | undefined,
  isConditional: boolean,
  now: Date,
): Promise<void> {
  if (overwrite !== false || isConditional) return
  if ((await lookAt(bucket, key, 'send overwrite: true', now)) !== null) throw objectExists()
}

/** Returns a key's object. Throws `not_supported` with `advice` if the Worker may not look. */
const lookAt = (
  bucket: Bucket,
  key: ObjectKey,
  advice: string,
  now: Date,
): Promise<ObjectHead | null> =>
  headObject(bucket, key, now).catch((error: unknown) => {
    const cause = error instanceof ApiError && error.code === 'storage_error' ? error.cause : null
    if (!(cause instanceof StorageFailure && cause.status === 403)) throw error
    throw new ApiError(
      'not_supported',
      `The bucket's access key does not allow HeadObject. Allow s3:GetObject and s3:ListBucket, or ${advice}.`,
      { cause },
    )
  })

/**
 * Throws `precondition_failed` unless the object under `key` has this ETag, or `upload` itself has
 * made it. Throws `not_supported` if the access key may not look. The object can still change
 * afterwards.
 */
export async function requireMatch(
  bucket: Bucket,
  key: ObjectKey,
  ifMatch: string,
  now: Date,
  upload?: SharedKey,
): Promise<void> {
  const head = await lookAt(bucket, key, 'leave out ifMatch', now)
  const isOwn = head !== null && upload !== undefined && isOfUpload(head, upload)
  if (!isOwn && (head === null || unquoted(head.etag) !== unquoted(ifMatch)))
    throw preconditionFailed(head)
}

/** Returns the error for an object with another ETag, or for a missing object (null). */
export const preconditionFailed = (head: ObjectHead | null, cause?: unknown): ApiError =>
  new ApiError(
    'precondition_failed',
    head === null
      ? 'There is no object under this key any more.'
      : 'The object under this key has another ETag: somebody has replaced it.',
    { etag: head?.etag ?? null, cause },
  )

/** Returns `file` with a condition to sign, or looks at the key first. */
export async function keepExisting<
  File extends Pick<UploadFields, 'key' | 'overwrite' | 'headers'> & {
    readonly ifMatch?: string | undefined
  },
>(bucket: Bucket, file: File, now: Date): Promise<File> {
  const { key, overwrite, ifMatch } = file
  const { conditionalPut, conditionalReplace } = bucket
  if (key === undefined) return file
  if (ifMatch !== undefined) {
    if (conditionalReplace)
      return { ...file, headers: { ...file.headers, 'If-Match': `"${unquoted(ifMatch)}"` } }
    await requireMatch(bucket, key, ifMatch, now)
  }
  await requireVacant(bucket, key, overwrite, conditionalPut, now)
  return conditionalPut ? file : { ...file, overwrite: undefined }
}

/** Tells whether `upload` made this object: by its mark, if other uploads may have the key. */
export const isOfUpload = (
  head: Pick<ObjectHead, 'mark'>,
  { overwrite, mark }: Pick<SharedKey, 'overwrite' | 'mark'>,
): boolean =>
  (overwrite === undefined && mark === undefined) || (mark !== undefined && head.mark === mark)

/** Tells whether another upload may have the same generated key: one with the same `startId`. */
export const isRepeatable = ({ overwrite, mark }: Pick<SharedKey, 'overwrite' | 'mark'>): boolean =>
  overwrite === undefined && mark !== undefined

/** Tells whether the bucket itself compares ETags when it completes an upload in parts. */
export const comparesMatch = ({ conditionalReplace, conditionalComplete }: Bucket): boolean =>
  conditionalReplace && conditionalComplete

/**
 * Throws what `requireVacant` throws before `upload`, in parts, is complete, and what `requireMatch`
 * throws for an `ifMatch` that the bucket doesn't compare. Also throws `object_exists` if an upload with
 * the same `startId` is complete.
 */
export async function requireUnused(
  bucket: Bucket,
  upload: SharedKey & { readonly ifMatch?: string | undefined },
  now: Date,
): Promise<void> {
  const { key, overwrite, ifMatch } = upload
  if (ifMatch !== undefined && !comparesMatch(bucket))
    await requireMatch(bucket, key, ifMatch, now, upload)
  if (!isRepeatable(upload))
    return requireVacant(bucket, key, overwrite, bucket.conditionalComplete, now)
  try {
    await requireVacant(bucket, key, false, bucket.conditionalComplete, now)
  } catch (error) {
    // Credentials that can't list objects get a 403 for a key without an object.
    if (!(error instanceof ApiError && error.code === 'not_supported')) throw error
  }
}

/** Returns the object that `upload` made. Null for none, or if the bucket doesn't answer. */
export async function completedObject(
  bucket: Bucket,
  upload: SharedKey,
  now: Date,
): Promise<ObjectHead | null> {
  const head = await headObject(bucket, upload.key, now).catch(() => null)
  return head !== null && isOfUpload(head, upload) ? head : null
}
