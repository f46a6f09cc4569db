import { AwsV4Signer } from 'aws4fetch'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { MAX_SIGNATURE_SECONDS } from '../bucket/limits.ts'
import { hex } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { derivedKeys, signingKey } from './derived-keys.ts'
import { assertNamesObject, objectPath } from './object-url.ts'

export interface PresignInput {
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  readonly key: ObjectKey
  /** Query of the S3 operation, such as `response-content-disposition`. */
  readonly query?: Readonly<Record<string, string>>
  /** Headers that the client must send exactly so; all of them are signed. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signedAt: Date
  /** For `X-Amz-Expires`: 1 to 604800. */
  readonly signedSeconds: number
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(4096)

/** What can be said of a URL before its key is known. */
export type PresignTemplate = Omit<PresignInput, 'key'>

/**
 * A URL that carries its SigV4 signature in the query (Signature Version 4, "Authenticating
 * Requests: Using Query Parameters"). Throws RangeError for a life that SigV4 doesn't know.
 */
export async function presign(input: PresignInput): Promise<string> {
  const signer = presignSigner(input)
  assertNamesObject(signer.url, input.bucket, input.key)
  const signature = await signHex(await signingKey(signer), await signer.stringToSign())
  return `${spaced(signer.url.href)}&X-Amz-Signature=${signature}`
}

/** aws4fetch's signer of that URL, which has signed nothing yet. */
export function presignSigner(input: PresignInput): AwsV4Signer {
  const { bucket, credentials, key, signedSeconds } = input
  if (
    !Number.isInteger(signedSeconds) ||
    signedSeconds < 1 ||
    signedSeconds > MAX_SIGNATURE_SECONDS
  )
    throw new RangeError(`X-Amz-Expires must be from 1 to ${MAX_SIGNATURE_SECONDS}.`)

  const query = new URLSearchParams({ ...input.query, 'X-Amz-Expires': String(signedSeconds) })
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return new AwsV4Signer({
    method: input.method,
    url: `${bucket.origin}${objectPath(bucket, key)}?${query}`,
    headers: input.headers ?? {},
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    service: 's3',
    region: bucket.region,
    datetime: amzDate(input.signedAt),
    cache: derivedKeys,
    signQuery: true,
    allHeaders: true,
  })
}

/** HMAC-SHA-256 of a string to sign, in hexadecimal: SigV4, "Calculate the signature". */
export async function signHex(key: CryptoKey, stringToSign: string): Promise<string> {
  return hex(await crypto.subtle.sign('HMAC', key, utf8(stringToSign)))
}

/**
 * `text` in UTF-8 for a call of WebCrypto, which copies what it is given before it returns: the
 * next text takes the same place, as memory of its own costs more than a digest.
 */
export function utf8(text: string): Uint8Array {
  const { read, written } = encoder.encodeInto(text, scratch)
  return read === text.length ? scratch.subarray(0, written) : encoder.encode(text)
}

/**
 * `text` with a space as "%20" where URLSearchParams wrote "+", which S3 servers read in two ways;
 * the signature is over "%20". A plus sign is "%2B" already.
 */
export const spaced = (text: string): string => text.replaceAll('+', '%20')

/** `date` as ISO 8601's basic format in UTC, which SigV4 calls `X-Amz-Date`. */
export const amzDate = (date: Date): string => date.toISOString().replace(/[:-]|\.\d{3}/g, '')
