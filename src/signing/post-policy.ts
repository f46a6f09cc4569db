import type { Bucket, Credentials } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8 } from '../keys/encodings.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import { signingKey } from './derived-keys.ts'
import { amzDate, presignSigner, signHex } from './presign.ts'

export interface PostPolicyInput {
  readonly bucket: Bucket
  readonly credentials: Credentials
  readonly key: ObjectKey
  /** Form fields of the object, such as `content-type`, in the order to send them. */
  readonly fields: Readonly<Record<string, string>>
  /** Largest file in bytes. */
  readonly maxBytes: number
  readonly signedAt: Date
  /** Seconds until the policy ends. */
  readonly signedSeconds: number
}

/**
 * All fields of a form that uploads one file by POST, but for the file, which goes last. Every
 * field is a condition of the policy, so none can be changed or added (S3, "Creating an HTML form
 * using AWS Signature Version 4"). Throws `invalid_key` for a key in which S3 would put a name of the
 * client's choice.
 */
export async function signPostPolicy(input: PostPolicyInput): Promise<Record<string, string>> {
  const { bucket, credentials, key, maxBytes, signedAt, signedSeconds } = input
  if (/\$\{filename\}/.test(key))
    throw new ApiError('invalid_key', 'A form would put the name of the file into this key.')
  const signer = presignSigner({
    bucket,
    credentials,
    key,
    method: 'POST',
    signedAt,
    signedSeconds,
  })
  const { accessKeyId, sessionToken } = credentials
  const fields: Record<string, string> = {
    ...input.fields,
    bucket: bucket.name,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${accessKeyId}/${signer.credentialString}`,
    'X-Amz-Date': amzDate(signedAt),
    ...(sessionToken === null ? {} : { 'X-Amz-Security-Token': sessionToken }),
    key,
  }
  const expires = new Date(signedAt.getTime() + signedSeconds * 1000)
  const policy = JSON.stringify({
    expiration: expires.toISOString().replace(/\.\d{3}/, ''),
    conditions: [
      ['content-length-range', 0, maxBytes],
      ...Object.entries(fields).map(([name, value]) => ({ [name]: value })),
    ],
  })
  const encoded = base64(utf8(policy))
  return {
    ...fields,
    Policy: encoded,
    'X-Amz-Signature': await signHex(await signingKey(signer), encoded),
  }
}
