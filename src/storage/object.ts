import * as z from 'zod/mini'
import type { Bucket } from '../bucket/bucket.ts'
import { UPLOAD_MARK } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import {
  ask,
  objectExists,
  s3CodeIn,
  send,
  TIMEOUT_SECONDS,
  unexpectedResponse,
  withDeadline,
} from './s3.ts'
import { StorageFailure } from './storage-failure.ts'

const headSchema = z.object({
  size: z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)),
  mimetype: z.string().check(z.maxLength(255)),
  etag: z.string().check(z.minLength(1), z.maxLength(128)),
  lastModified: z.pipe(
    z.string().check(z.refine((value) => !Number.isNaN(Date.parse(value)))),
    z.transform((value) => new Date(value)),
  ),
  mark: z.optional(z.string()),
})

/** Maximum seconds until the next bytes arrive, and from the last ones to the response. */
const UPLOAD_IDLE_SECONDS = 60

/** The bytes of a new object. */
export interface ObjectBytes {
  readonly size: number
  readonly bytes: ReadableStream<Uint8Array>
}

/** What the bucket reports: `size` in bytes, `etag` in its quotes, as S3 sends it. */
export type ObjectHead = z.infer<typeof headSchema>

/**
 * Calls S3 HeadObject. Returns null if the object is missing. Throws `storage_error`, also for a
 * missing bucket, and what else `unexpectedResponse` returns. Sends only one request for a missing
 * object if it is known that the bucket exists.
 */
export async function headObject(
  bucket: Bucket,
  key: ObjectKey,
  now: Date,
  bucketExists = false,
): Promise<ObjectHead | null> {
  const [response, s3Code] = await askHead(bucket, key, now, bucketExists)
  if (response.status === 404 && s3Code !== 'NoSuchBucket') return null
  if (response.status !== 200) throw unexpectedResponse('HeadObject', response, s3Code)
  const head = headSchema.safeParse({
    size: response.headers.get('content-length'),
    mimetype: response.headers.get('content-type') ?? 'application/octet-stream',
    etag: response.headers.get('etag'),
    lastModified: response.headers.get('last-modified'),
    mark: response.headers.get(`x-amz-meta-${UPLOAD_MARK}`) ?? undefined,
  })
  if (head.success) return head.data
  throw new ApiError('storage_error', "The bucket's response to HeadObject lacks headers.", {
    cause: new StorageFailure('HeadObject', response.status, null, head.error),
  })
}

/** The statuses of a refused HEAD that can mean different things. */
const AMBIGUOUS = [400, 401, 403, 404]

/**
 * Returns HeadObject's response, and S3's code or null. A HEAD has no body with a code, so a status
 * that is not clear is followed by a GET for one byte, whose other results are ignored.
 */
export const askHead = (
  bucket: Bucket,
  key: ObjectKey,
  now: Date,
  bucketExists = false,
): Promise<[Response, string | null]> =>
  withDeadline(TIMEOUT_SECONDS, now, async (signal) => {
    const head = await send({ bucket, method: 'HEAD', key }, now, signal)
    const { status } = head
    if (!AMBIGUOUS.includes(status) || (status === 404 && bucketExists)) return [head, null]
    const oneByte = { bucket, method: 'GET', key, headers: { Range: 'bytes=0-0' } } as const
    const answer = await ask(oneByte, now, signal).catch(() => null)
    return [head, answer?.status === status ? s3CodeIn(answer.text) : null]
  })

/**
 * Calls S3 DeleteObject, also for a missing object, or for one version of it, or with a condition on its
 * ETag. Success is only 204, or 200 without a body: a
 * proxy's page deletes nothing. Throws `storage_error` and `unavailable`. `mayHaveHappened` tells
 * whether the object may be deleted anyway.
 */
export async function deleteObject(
  bucket: Bucket,
  key: ObjectKey,
  now: Date,
  {
    versionId,
    ifMatch,
  }: { readonly versionId?: string | undefined; readonly ifMatch?: string } = {},
): Promise<void> {
  const version = versionId === undefined ? {} : { query: { versionId } }
  const condition = ifMatch === undefined ? {} : { headers: { 'If-Match': ifMatch } }
  const answer = await withDeadline(TIMEOUT_SECONDS, now, (signal) =>
    ask({ bucket, method: 'DELETE', key, ...version, ...condition }, now, signal),
  )
  const { status, text } = answer
  if (status === 204 || (status === 200 && text === '')) return
  const s3Code = s3CodeIn(text)
  // Google Cloud Storage returns this for a missing object.
  if (status === 404 && s3Code === 'NoSuchKey') return
  throw unexpectedResponse('DeleteObject', answer, s3Code)
}

/**
 * Calls S3 PutObject with the access key for uploads. Returns the ETag in its quotes. Throws the error
 * of `bytes`, `object_exists` for a failed condition, `storage_error` and `unavailable`.
 */
export async function putObject(
  bucket: Bucket,
  key: ObjectKey,
  { size, bytes }: ObjectBytes,
  headers: Readonly<Record<string, string>>,
  now: Date,
): Promise<string> {
  const abort = new AbortController()
  const wait = () => setTimeout(() => abort.abort(), UPLOAD_IDLE_SECONDS * 1000)
  let timer = wait()
  let hasResponse = false
  // Only Workers have streams with a length. Elsewhere, the header sets it.
  const { readable, writable } =
    typeof FixedLengthStream === 'undefined'
      ? new TransformStream<Uint8Array, Uint8Array>()
      : new FixedLengthStream(size)
  const writer = writable.getWriter()
  const copied = (async () => {
    for await (const chunk of bytes) {
      // A bucket that refuses an object responds before it has read all of it.
      const isTaken = await writer.write(chunk).then(
        () => !hasResponse,
        () => false,
      )
      if (!isTaken) return
      clearTimeout(timer)
      timer = wait()
    }
    await writer.close()
  })()
  let failure: unknown
  copied.catch((error: unknown) => {
    failure = error
    writer.abort(error).catch(() => undefined)
    abort.abort()
  })
  const request = {
    bucket,
    credentials: bucket.uploadCredentials,
    method: 'PUT',
    key,
    headers: { ...headers, 'Content-Length': String(size) },
    object: readable,
  } as const
  try {
    const answer = await ask(request, now, abort.signal)
    const etag = answer.headers.get('etag')
    if (answer.status === 200 && etag) return etag
    const s3Code = s3CodeIn(answer.text)
    if (answer.status === 412)
      throw objectExists(new StorageFailure('PutObject', answer.status, s3Code))
    throw unexpectedResponse('PutObject', answer, s3Code)
  } catch (error) {
    throw failure instanceof ApiError ? failure : error
  } finally {
    hasResponse = true
    clearTimeout(timer)
  }
}
