import { AwsV4Signer } from 'aws4fetch'
import type { Bucket, Credentials } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { derivedKeys } from '../signing/derived-keys.ts'
import { credentialsExpired } from '../signing/expiry.ts'
import { assertNamesObject, objectUrl } from '../signing/object-url.ts'
import { amzDate, hex, spaced } from '../signing/presign.ts'

export interface ObjectRequest {
  readonly bucket: Bucket
  /** Undefined takes those that read. */
  readonly credentials?: Credentials
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly key: ObjectKey
  /** Query of the S3 operation, such as `uploadId`. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Seconds until the answer must begin; 10 unless given. */
  readonly timeoutSeconds?: number
}

/**
 * One signed request to a bucket, sent once and never cached. Resolves with whatever the bucket
 * answers; throws `storage_error` where no answer begins in time, and `credentials_expired`.
 */
export async function fetchObject(request: ObjectRequest, now: Date): Promise<Response> {
  const { bucket, method, key, body, timeoutSeconds = 10 } = request
  const signed = await signRequest(request, now)
  assertNamesObject(signed.url, bucket, key)

  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), timeoutSeconds * 1000)
  try {
    // An object comes as it is stored: nobody encodes it on the way, and nobody decodes it here.
    const isObject = request.query === undefined
    if (isObject) signed.headers.set('Accept-Encoding', 'identity')
    // Without no-store, Cloudflare may send a GET in place of a HEAD, which the signature doesn't
    // cover.
    return await fetch(spaced(signed.url.href), {
      method,
      headers: signed.headers,
      cache: 'no-store',
      redirect: 'manual',
      encodeResponseBody: isObject ? 'manual' : 'automatic',
      signal: abort.signal,
      ...(body === undefined ? {} : { body }),
    })
  } catch (cause) {
    throw new ApiError('storage_error', 'The bucket did not answer.', { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** SigV4, "Transferring Payload in a Single Chunk"; a body is signed by its digest. */
async function signRequest(request: ObjectRequest, now: Date): Promise<AwsRequest> {
  const { bucket, credentials = bucket.credentials, method, key, query, headers, body } = request
  const { accessKeyId, secretAccessKey, sessionToken, expiresAt } = credentials
  if (expiresAt <= now.getTime()) throw credentialsExpired()
  const url = objectUrl(bucket, key)
  url.search = new URLSearchParams(query).toString()
  const digest = body === undefined ? {} : { 'X-Amz-Content-Sha256': await sha256(body) }
  return new AwsV4Signer({
    method,
    url: url.href,
    headers: { ...headers, ...digest },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    service: 's3',
    region: bucket.region,
    datetime: amzDate(now),
    cache: derivedKeys,
  }).sign()
}

type AwsRequest = Awaited<ReturnType<AwsV4Signer['sign']>>

const sha256 = async (text: string): Promise<string> =>
  hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))

/** The error for an answer that `operation` can't use. */
export const unexpectedAnswer = (operation: string, { status }: Response): ApiError =>
  new ApiError('storage_error', `The bucket answered ${operation} with status ${status}.`)
