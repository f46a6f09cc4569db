import * as z from 'zod/mini'
import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { fetchObject, unexpectedAnswer } from './s3.ts'

const headSchema = z.object({
  size: z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)),
  mimetype: z._default(z.string().check(z.maxLength(255)), 'application/octet-stream'),
  etag: z.string().check(z.minLength(1), z.maxLength(128)),
  lastModified: z.pipe(
    z.string().check(z.refine((value) => !Number.isNaN(Date.parse(value)))),
    z.transform((value) => new Date(value)),
  ),
})

/** What the bucket says of an object. `size` in bytes; `etag` in its quotes, as S3 sends it. */
export type ObjectHead = z.infer<typeof headSchema>

/** S3 HeadObject; null where there is no such object. Throws `storage_error`. */
export async function headObject(
  bucket: Bucket,
  key: ObjectKey,
  now: Date,
): Promise<ObjectHead | null> {
  const response = await fetchObject({ bucket, method: 'HEAD', key }, now)
  if (response.status === 404) return null
  if (response.status !== 200) throw unexpectedAnswer('HeadObject', response)
  const head = headSchema.safeParse({
    size: response.headers.get('content-length'),
    mimetype: response.headers.get('content-type') ?? undefined,
    etag: response.headers.get('etag'),
    lastModified: response.headers.get('last-modified'),
  })
  if (head.success) return head.data
  throw new ApiError('storage_error', 'The bucket answered HeadObject without the usual headers.', {
    cause: head.error,
  })
}

/** S3 DeleteObject; also succeeds where there is no such object. Throws `storage_error`. */
export async function deleteObject(bucket: Bucket, key: ObjectKey, now: Date): Promise<void> {
  const response = await fetchObject({ bucket, method: 'DELETE', key }, now)
  await response.body?.cancel()
  if (!response.ok && response.status !== 404) throw unexpectedAnswer('DeleteObject', response)
}
