import type { Bucket } from '../../bucket/bucket.ts'
import { ApiError, type PlainCode } from '../../errors/api-error.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { assertNamesKey, encodeKey } from '../../signing/object-url.ts'
import {
  ask,
  type BucketResponse,
  objectExists,
  s3CodeIn,
  unexpectedResponse,
  unquoted,
  withDeadline,
} from '../../storage/s3.ts'
import { StorageFailure } from '../../storage/storage-failure.ts'
import { readXml, textOf } from '../../storage/xml.ts'

/** The object to copy, as it was seen. `etag` is in its quotes. */
export interface CopySource {
  readonly bucket: Bucket
  readonly key: ObjectKey
  readonly etag: string
}

/** A server may send its response only after it has copied 5 GB. */
const COPY_TIMEOUT_SECONDS = 120

/** R2 has its own name for a condition on the object that a copy would replace. */
const R2_HOST = /\.r2\.cloudflarestorage\.com(?::\d+)?$/

/**
 * Calls S3 CopyObject with the target's access key for reads, which no signed PUT uses. The server
 * copies only the object that was seen, with its metadata unless `headers` replace it. With `isNew`,
 * a server that can do so refuses to replace an object. Returns the ETag of the copy in its quotes,
 * or null if the response has none. Throws `file_replaced` for another source, `object_exists`,
 * `object_not_found`, `not_supported`, `storage_error` and `unavailable`.
 */
export async function copyObject(
  source: CopySource,
  bucket: Bucket,
  key: ObjectKey,
  { headers, isNew }: { headers: Readonly<Record<string, string>>; isNew: boolean },
  now: Date,
): Promise<string | null> {
  const owner = source.bucket.requestHeaders?.['x-amz-expected-bucket-owner']
  const copy = async (condition: Readonly<Record<string, string>>): Promise<string | null> => {
    const request = {
      bucket,
      key,
      operation: 'CopyObject',
      method: 'PUT' as const,
      headers: {
        ...headers,
        ...condition,
        ...(owner !== undefined && { 'x-amz-source-expected-bucket-owner': owner }),
        'x-amz-copy-source': copySourceOf(source),
        'x-amz-copy-source-if-match': source.etag,
      },
    }
    const answer = await withDeadline(COPY_TIMEOUT_SECONDS, now, (signal) =>
      ask(request, now, signal),
    )
    const root = readXml(answer.text)
    // An error may come with status 200, after the response has begun.
    if (answer.status !== 200 || root?.name !== 'CopyObjectResult') throw refusal(answer, isNew)
    const etag = textOf(root, 'ETag')
    return etag ? `"${unquoted(etag)}"` : null
  }
  if (!(isNew && bucket.conditionalPut)) return copy({})
  const vacant = R2_HOST.test(bucket.origin) ? 'cf-copy-destination-if-none-match' : 'If-None-Match'
  return copy({ [vacant]: '*' }).catch((error: unknown) => {
    // Some servers support this condition only on PutObject.
    if (error instanceof ApiError && error.message.startsWith(UNSUPPORTED)) return copy({})
    throw error
  })
}

const UNSUPPORTED = 'The server of this bucket does not support'

/**
 * Returns the value of `x-amz-copy-source`: the bucket and the key, percent-encoded. Throws unless it
 * names the object when it is decoded, since a server copies whatever it names.
 */
export function copySourceOf({ bucket, key }: Pick<CopySource, 'bucket' | 'key'>): string {
  const path = encodeKey(key)
  assertNamesKey(path, key)
  return `/${bucket.name}/${path}`
}

function refusal(answer: BucketResponse, isNew: boolean): ApiError {
  const operation = 'CopyObject'
  const { status, text } = answer
  const s3Code = s3CodeIn(text)
  const cause = new StorageFailure(operation, status, s3Code)
  const error = (code: PlainCode, message: string) => new ApiError(code, message, { cause })
  if (status === 412 || s3Code === 'PreconditionFailed')
    // The response doesn't tell which condition has failed.
    return isNew ? objectExists(cause) : sourceReplaced(cause)
  if (s3Code === 'NoSuchKey') return error('object_not_found', 'There is no object to copy.')
  if (s3Code === 'AccessDenied')
    return error(
      'not_supported',
      "The access key of the target's bucket does not allow this copy. Allow it s3:GetObject on the source and s3:PutObject on the target.",
    )
  if (s3Code === 'ObjectNotInActiveTierError' || s3Code === 'InvalidObjectState')
    return error('not_supported', 'The object to copy is archived. Restore it first.')
  if (s3Code === 'NotImplemented' || status === 405 || status === 501)
    return error('not_supported', `${UNSUPPORTED} ${operation}.`)
  return unexpectedResponse(operation, answer, s3Code)
}

/** Returns the error for a source that is no longer the object that was seen. */
export const sourceReplaced = (cause?: StorageFailure): ApiError =>
  new ApiError('file_replaced', 'The source was replaced. Nothing was deleted. Send it again.', {
    cause,
  })
