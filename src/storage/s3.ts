import { AwsV4Signer } from 'aws4fetch'
import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { derivedKeys } from '../signing/derived-keys.ts'
import { assertNamesObject, objectUrl } from '../signing/object-url.ts'
import { amzDate } from '../signing/presign.ts'

const TIMEOUT_MILLISECONDS = 10_000

/**
 * One signed request to a bucket, sent once and never cached. Resolves with whatever the bucket answers; throws
 * `storage_error` where it doesn't answer within ten seconds.
 */
export async function fetchObject(
  bucket: Bucket,
  method: 'HEAD' | 'DELETE',
  key: ObjectKey,
  now: Date,
): Promise<Response> {
  const { accessKeyId, secretAccessKey, sessionToken } = bucket.credentials
  const signer = new AwsV4Signer({
    method,
    url: objectUrl(bucket, key).href,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    service: 's3',
    region: bucket.region,
    datetime: amzDate(now),
    cache: derivedKeys,
  })
  const { url, headers } = await signer.sign()
  assertNamesObject(url, bucket, key)
  try {
    // Without no-store, Cloudflare may send a GET in place of a HEAD, which the signature doesn't cover.
    return await fetch(url, {
      method,
      headers,
      cache: 'no-store',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS),
    })
  } catch (cause) {
    throw new ApiError('storage_error', 'The bucket did not answer.', { cause })
  }
}

/** The error for an answer that `operation` can't use. */
export const unexpectedAnswer = (operation: string, { status }: Response): ApiError =>
  new ApiError('storage_error', `The bucket answered ${operation} with status ${status}.`)
