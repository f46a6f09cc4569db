import { AwsV4Signer } from 'aws4fetch'
import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { MAX_SIGNATURE_SECONDS } from '../bucket/limits.ts'
import { hex, utf8 } from '../keys/encodings.ts'

const MAX_SIGNING_KEYS = 64

/** Keeps only the newest keys, since each day and each rotation of credentials adds keys. */
class BoundedMap extends Map<string, ArrayBuffer> {
  override set(name: string, key: ArrayBuffer): this {
    for (const oldest of this.keys()) {
      if (this.size < MAX_SIGNING_KEYS) break
      this.delete(oldest)
    }
    return super.set(name, key)
  }
}

/** This isolate's SigV4 keys, by secret, day, region and service. aws4fetch fills it. */
export const signingKeys: Map<string, ArrayBuffer> = new BoundedMap()

/** Those keys for WebCrypto: aws4fetch keeps only their bytes. */
const imported = new WeakMap<ArrayBuffer, Promise<CryptoKey>>()

/** What aws4fetch signs, with the signature in a header or in the query. */
export interface RequestToSign {
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly method: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signedAt: Date
  /** Whether the signature goes into the query. Then every header is signed. */
  readonly inQuery?: boolean
}

/** Returns aws4fetch's signer for a request to S3, before it signs. */
export function awsSigner(request: RequestToSign): AwsV4Signer {
  const { bucket, credentials, method, url, headers = {}, signedAt, inQuery = false } = request
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return new AwsV4Signer({
    method,
    url,
    headers,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === null ? {} : { sessionToken }),
    service: 's3',
    region: bucket.region,
    datetime: amzDate(signedAt),
    cache: signingKeys,
    signQuery: inQuery,
    allHeaders: inQuery,
  })
}

/** Returns the signing key of `signer`, imported once. aws4fetch derives it (SigV4, "Signing Key"). */
export async function signingKey(signer: AwsV4Signer): Promise<CryptoKey> {
  const { secretAccessKey, datetime, region, service } = signer
  const name = [secretAccessKey, datetime.slice(0, 8), region, service].join()
  if (!signingKeys.has(name)) await signer.signature()
  const derived = signingKeys.get(name)
  if (derived === undefined) throw new Error("aws4fetch's cache lacks the signing key.")
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key =
    imported.get(derived) ?? crypto.subtle.importKey('raw', derived, algorithm, false, ['sign'])
  imported.set(derived, key)
  return key
}

/** Returns SigV4's "Signature" of `stringToSign` by `signer`, in hexadecimal. */
export async function calculateSignature(
  signer: AwsV4Signer,
  stringToSign: string,
): Promise<string> {
  return hex(await crypto.subtle.sign('HMAC', await signingKey(signer), utf8(stringToSign)))
}

/** The last date and its text, since all URLs of one second have the same. */
let lastTime = Number.NaN
let lastText = ''

/** Returns `date` in the format of `X-Amz-Date`: ISO 8601's basic format in UTC. */
export function amzDate(date: Date): string {
  const time = date.getTime()
  if (time !== lastTime) lastText = date.toISOString().replace(/[-:]|\.\d+/g, '')
  lastTime = time
  return lastText
}

/** Writes spaces as "%20", as signed: S3 servers read "+" in two ways. A plus is already "%2B". */
export const spaced = (text: string): string => text.replaceAll('+', '%20')

/** Throws RangeError for a lifetime that SigV4 doesn't allow. */
export function assertSignedSeconds(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_SIGNATURE_SECONDS)
    throw new RangeError(`X-Amz-Expires must be from 1 to ${MAX_SIGNATURE_SECONDS}.`)
}
