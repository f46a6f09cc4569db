import { sixAtOnce } from '../../bucket/at-once.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_PARTS, UPLOAD_MARK } from '../../bucket/limits.ts'
import { completedObject, requireVacant } from '../../core/chosen-key.ts'
import { ApiError } from '../../errors/api-error.ts'
import type { AppContext } from '../../http/app-env.ts'
import { timeOf } from '../../http/deadline.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  type ListedPart,
  listParts,
} from '../../storage/multipart.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'
import type { CopyInParts } from './cursor.ts'
import { type CopySource, copyPart, sourceReplaced } from './s3.ts'

const MIB = 1024 ** 2

/** Sizes in bytes: of the largest object that is copied at once, and of a part of a larger one. */
export interface CopySizes {
  readonly wholeBytes: number
  readonly partBytes: number
}

/** S3 and R2 copy up to 5 GB in one request. Parts of this size take a few seconds each. */
export const SIZES: CopySizes = { wholeBytes: 5_000_000_000, partBytes: 256 * MIB }

/** Starts the copy of a large object with CreateMultipartUpload. */
export async function beginParts(
  target: Bucket,
  key: ObjectKey,
  { etag, size }: Pick<ObjectHead, 'etag' | 'size'>,
  chosen: Pick<CopyInParts, 'overwrite' | 'byApp' | 'name'>,
  headers: Readonly<Record<string, string>>,
  partBytes: number,
  now: Date,
): Promise<CopyInParts> {
  const mark = crypto.randomUUID()
  const marked = { ...headers, [`x-amz-meta-${UPLOAD_MARK}`]: mark }
  const s3UploadId = await createMultipartUpload(asCopier(target), key, marked, now)
  const partSize = Math.max(partBytes, Math.ceil(size / MAX_PARTS / MIB) * MIB)
  return { etag, size, partSize, next: 1, ...chosen, s3UploadId, mark }
}

/** Returns the bucket with its access key for reads, which copies, also as that for uploads. */
const asCopier = (bucket: Bucket): Bucket =>
  Object.create(bucket, { uploadCredentials: { get: () => bucket.credentials } })

/** Errors after which the parts are of no use. */
const LASTING = ['file_replaced', 'object_not_found', 'object_exists']

/**
 * Copies parts, six at once, until `mayCopy` is false. Returns the copied object after the last one,
 * otherwise the copy with its next part. If the source or the target has changed, deletes the parts.
 */
export async function copyParts(
  c: AppContext,
  source: CopySource,
  target: Bucket,
  key: ObjectKey,
  copy: CopyInParts,
  mayCopy: (partNumber: number) => boolean,
): Promise<ObjectHead | CopyInParts> {
  const { size, partSize, s3UploadId, overwrite } = copy
  const count = Math.ceil(size / partSize)
  const upload = { bucket: target, key, s3UploadId, overwrite, credentials: target.credentials }
  try {
    let next = copy.next
    const rest = Array.from({ length: count + 1 - next }, (_, i) => next + i)
    await sixAtOnce(rest, async (partNumber) => {
      // In order: when one gets no request, neither do those after it.
      if (next !== partNumber || !mayCopy(partNumber)) return
      next += 1
      const start = (partNumber - 1) * partSize
      const part = { s3UploadId, partNumber, start, end: Math.min(start + partSize, size) }
      await copyPart(source, target, key, part, timeOf(c))
    })
    if (next <= count) return { ...copy, next }
    // Some servers ignore the condition on the source.
    const { bucket, key: from, etag } = source
    if ((await headObject(bucket, from, timeOf(c)))?.etag !== etag) throw sourceReplaced()
    const parts = await listParts(upload, timeOf(c))
    requireParts(parts, copy, count)
    await requireVacant(target, key, overwrite, target.conditionalComplete, timeOf(c))
    await completeMultipartUpload(upload, parts, timeOf(c))
  } catch (error) {
    // An earlier call may have completed it, and its response got lost.
    const head = await completedObject(target, { key, ...copy }, timeOf(c))
    if (head?.size === size) return head
    if (error instanceof ApiError && LASTING.includes(error.code))
      await dropParts(target, key, copy, timeOf(c))
    throw error
  }
  const head = await completedObject(target, { key, ...copy }, timeOf(c))
  if (head?.size === size) return head
  throw new ApiError('storage_error', 'The bucket does not have the complete copy.')
}

/** Aborts a copy in parts. If that fails, the bucket's lifecycle rule deletes them. */
export async function dropParts(
  bucket: Bucket,
  key: ObjectKey,
  { s3UploadId }: Pick<CopyInParts, 's3UploadId'>,
  now: Date,
): Promise<void> {
  const { credentials } = bucket
  await abortMultipartUpload({ bucket, key, s3UploadId, credentials }, now).catch(() => undefined)
}

/** Throws unless the bucket has every byte of every part. */
function requireParts(
  parts: readonly ListedPart[],
  { size, partSize }: CopyInParts,
  count: number,
): void {
  const isComplete =
    parts.length === count &&
    parts.every(
      (part, i) =>
        part.partNumber === i + 1 && part.size === Math.min(partSize, size - i * partSize),
    )
  if (!isComplete) throw new ApiError('storage_error', 'The bucket lacks parts of this copy.')
}
