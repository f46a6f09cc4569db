import { AwsV4Signer } from 'aws4fetch'
import type { Bucket } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { derivedKeys } from '../signing/derived-keys.ts'
import { credentialsExpired } from '../signing/expiry.ts'
import { assertNamesObject, objectUrl } from '../signing/object-url.ts'
import { amzDate } from '../signing/presign.ts'

const TIMEOUT_MILLISECONDS = 10_000

/**
 * One signed request to a bucket, sent once and never cached. Resolves with whatever the bucket answers; throws
 * `storage_error` where no answer begins within ten seconds, and `credentials_expired`.
 */
export async function fetchObject(
  bucket: Bucket,
  method: 'GET' | 'HEAD' | 'DELETE',
  key: ObjectKey,
  now: Date,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { accessKeyId, secretAccessKey, sessionToken, expiresAt } = bucket.credentials
  if (expiresAt <= now.getTime()) throw credentialsExpired()
  const signer = new AwsV4Signer({
    method,
    url: objectUrl(bucket, key).href,
    headers: { ...headers },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    service: 's3',
    region: bucket.region,
    datetime: amzDate(now),
    cache: derivedKeys,
  })
  const signed = await signer.sign()
  assertNamesObject(signed.url, bucket, key)

  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MILLISECONDS)
  try {
    // Without no-store, Cloudflare may send a GET in place of a HEAD, which the signature doesn't cover.
    return await fetch(signed.url, {
      method,
      headers: signed.headers,
      cache: 'no-store',
      redirect: 'manual',
      signal: abort.signal,
    })
  } catch (cause) {
    throw new ApiError('storage_error', 'The bucket did not answer.', { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** The error for an answer that `operation` can't use. */
export const unexpectedAnswer = (operation: string, { status }: Response): ApiError =>
  new ApiError('storage_error', `The bucket answered ${operation} with status ${status}.`)
