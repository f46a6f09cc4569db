import type { Bucket } from '../../bucket/bucket.ts'
import { asApiError } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { abortMultipartUpload, listUploads } from '../../storage/multipart.ts'
import { headObject, type ObjectHead } from '../../storage/object.ts'

/**
 * Aborts every upload in parts of a key, which the bucket keeps and counts until then: those that it
 * lists, and the one that is known, since not every server lists them. Returns the object of the key: one
 * of them may be complete. Throws `storage_error`, `storage_busy` and `not_supported`.
 */
export async function abortUploads(
  bucket: Bucket,
  key: ObjectKey,
  known: string | null,
  now: Date,
): Promise<ObjectHead | null> {
  const listed = await listUploads(bucket, key, now).catch((error: unknown) => {
    if (asApiError(error)?.code !== 'not_supported') throw error
    return []
  })
  for (const s3UploadId of new Set([...listed, ...(known === null ? [] : [known])]))
    await abortMultipartUpload({ bucket, key, s3UploadId }, now)
  return headObject(bucket, key, now)
}
