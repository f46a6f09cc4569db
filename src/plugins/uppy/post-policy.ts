import type { Bucket } from '../../bucket/bucket.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import type { UploadSignature } from '../../core/upload-url.ts'
import { ApiError } from '../../errors/api-error.ts'
import { base64, utf8 } from '../../keys/encodings.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import {
  amzDate,
  assertSignedSeconds,
  awsSigner,
  calculateSignature,
} from '../../signing/signature.ts'
import { escapeXml } from '../../storage/xml.ts'

type Signing = UploadSignature['signing']

/** `signedSeconds` until the policy expires: 1 to 604800. */
export interface PostPolicyInput extends Signing {
  readonly key: ObjectKey
  /** Form fields of the object, such as `content-type`, in the order to send them. */
  readonly fields: Readonly<Record<string, string>>
  readonly maxBytes: number
}

/** Returns the URL that accepts POST forms of a bucket. */
export const postUrl = ({ publicAddress: { origin, basePath } }: Bucket): string =>
  origin + basePath

/**
 * Returns all fields of a form that uploads one file by POST, except the file, which comes last
 * (SigV4, "Authenticating Requests in Browser-Based Uploads Using POST"). Every field is a
 * condition of the policy, so none can be changed or added. Throws `invalid_key` for a key that
 * contains `${filename}`, since S3 would replace it by a name that the client chooses. Throws
 * RangeError for a lifetime that SigV4 doesn't allow.
 */
export async function signPostPolicy(input: PostPolicyInput): Promise<Record<string, string>> {
  const { bucket, credentials, key, maxBytes, signedAt, signedSeconds } = input
  if (/\$\{filename\}/.test(key))
    throw new ApiError('invalid_key', 'S3 would put the file name into this key.')
  assertSignedSeconds(signedSeconds)
  const url = postUrl(bucket)
  const signer = awsSigner({ bucket, credentials, method: 'POST', url, signedAt })
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
  const policy = {
    expiration: expires.toISOString().replace(/\.\d{3}/, ''),
    conditions: [
      ['content-length-range', 0, maxBytes],
      ...Object.entries(fields).map(([name, value]) => ({ [name]: value })),
    ],
  }
  const stringToSign = base64(utf8(JSON.stringify(policy)))
  return {
    ...fields,
    Policy: stringToSign,
    'X-Amz-Signature': await calculateSignature(signer, stringToSign),
  }
}

/** Returns headers, and the bucket's own, as fields of S3 PostObject, which has two other names. */
export function postObjectFields(
  { uploadHeaders, requestHeaders }: Bucket,
  own?: UploadFields['headers'],
): Record<string, string> {
  const headers: UploadFields['headers'] = { ...own, ...uploadHeaders, ...requestHeaders }
  const { 'x-amz-acl': acl, 'x-amz-tagging': tagging, ...same } = headers
  return {
    ...same,
    ...(acl === undefined ? {} : { acl }),
    ...(tagging === undefined ? {} : { tagging: taggingXml(tagging) }),
  }
}

function taggingXml(tagging: string): string {
  const tags = Array.from(
    new URLSearchParams(tagging),
    ([name, value]) => `<Tag><Key>${escapeXml(name)}</Key><Value>${escapeXml(value)}</Value></Tag>`,
  )
  return `<Tagging><TagSet>${tags.join('')}</TagSet></Tagging>`
}
