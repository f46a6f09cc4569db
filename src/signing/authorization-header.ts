import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { sha256 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { assertNamesObject, objectUrl } from './object-url.ts'
import { awsSigner, spaced } from './signature.ts'

export interface AuthorizedInput {
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Null for an operation on the bucket itself. */
  readonly key: ObjectKey | null
  /** Query of the S3 operation, such as `uploadId`. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signedAt: Date
}

/**
 * Returns a request's URL and signed headers (SigV4, "Using the Authorization Header"). Signs the
 * digest of a text body ("Payload in a Single Chunk"), but not the bytes of an object.
 */
export async function authorize(
  input: AuthorizedInput,
): Promise<{ readonly url: string; readonly headers: Headers }> {
  const { bucket, key, query, headers, body, ...request } = input
  // As the SDKs write it, without a slash at the end. Some servers sign only this spelling.
  const ofBucket = () => new URL(bucket.origin + bucket.basePath.slice(0, -1))
  const url = key === null ? ofBucket() : objectUrl(bucket, key)
  url.search = new URLSearchParams(query).toString()
  const digest = body === undefined ? {} : { 'X-Amz-Content-Sha256': await sha256(body) }
  const signer = awsSigner({
    ...request,
    bucket,
    url: url.href,
    headers: { ...headers, ...bucket.requestHeaders, ...digest },
  })
  if (key !== null) assertNamesObject(signer.url, bucket, key)
  const signed = await signer.sign()
  return { url: spaced(signed.url.href), headers: signed.headers }
}
