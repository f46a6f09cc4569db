import type { AwsV4Signer } from 'aws4fetch'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { assertNamesObject, encodeKey } from './object-url.ts'
import { assertSignedSeconds, awsSigner, calculateSignature, spaced } from './signature.ts'

export interface PresignInput {
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  readonly key: ObjectKey
  /** Query of the S3 operation, such as `response-content-disposition`. */
  readonly query?: Readonly<Record<string, string>> | undefined
  /** Headers that the client must send unchanged. All of them are signed. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signedAt: Date
  /** For `X-Amz-Expires`: 1 to 604800. */
  readonly signedSeconds: number
}

/**
 * Returns a URL for clients with the signature in its query (SigV4, "Authenticating Requests: Using
 * Query Parameters"). Throws RangeError for a lifetime that SigV4 doesn't allow.
 */
export async function presign(input: PresignInput): Promise<string> {
  const signer = querySigner(input)
  assertNamesObject(signer.url, input.bucket.publicAddress, input.key)
  const signature = await calculateSignature(signer, await signer.stringToSign())
  return `${spaced(signer.url.href)}&X-Amz-Signature=${signature}`
}

/** Returns aws4fetch's signer for that URL, before it signs. */
export function querySigner(input: PresignInput): AwsV4Signer {
  const { bucket, key, query, signedSeconds, ...request } = input
  assertSignedSeconds(signedSeconds)
  const search = new URLSearchParams({
    ...query,
    ...bucket.requestHeaders,
    'X-Amz-Expires': String(signedSeconds),
  })
  const { origin, basePath } = bucket.publicAddress
  const url = `${origin}${basePath}${encodeKey(key)}?${search}`
  return awsSigner({ ...request, bucket, url, inQuery: true })
}
