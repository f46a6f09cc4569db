import type { Bucket } from '../bucket/bucket.ts'
import { MAX_PUT_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { signPostPolicy } from '../signing/post-policy.ts'
import { newUpload, uploadSignature } from '../uploads/new-upload.ts'
import { encodedWord, metadataFields, requireMetadataSize } from '../uploads/signed-headers.ts'
import { largestFile } from '../uploads/size-limit.ts'
import { DEFAULT_TYPE } from './dialect.ts'
import { companionLife } from './lifetime.ts'

export interface PostFormRequest {
  readonly fileName: string
  readonly mimetype: string | undefined
  /** Names as HTTP takes them in a header. */
  readonly metadata: Readonly<Record<string, string>>
  readonly directory?: string | undefined
}

export interface PostForm {
  /** The bucket's own, with a `/` at its end. */
  readonly url: string
  /** The fields before the file in the form, in this order. */
  readonly fields: Readonly<Record<string, string>>
  /** Whole seconds from now. */
  readonly expiresIn: number
}

/**
 * S3 PostObject for a new key under `prefix`: the form that uploads a file of at most the bucket's
 * `maxBytes`. Throws `not_supported` for a server without POST policies, and ApiError for a file
 * that this bucket doesn't take.
 */
export async function createPostForm(
  bucket: Bucket,
  { fileName, mimetype, metadata, directory }: PostFormRequest,
  prefix: string,
  now: Date,
): Promise<PostForm> {
  if (!bucket.postUploads)
    throw new ApiError(
      'not_supported',
      'The server of this bucket lacks PostObject. Two settings of Uppy work: "shouldUseMultipart: true", and "signRequest" in place of the endpoint.',
    )
  const file = { fileName, mimetype: mimetype ?? DEFAULT_TYPE, size: null, directory }
  const key = newUpload(bucket, file, prefix, MAX_PUT_BYTES, now)
  const values = Object.entries(metadata).map(([name, value]) => [name, fieldValue(value)])
  const named: Record<string, string> = Object.fromEntries(values)
  requireMetadataSize(named)
  const { signing, expiresIn } = uploadSignature(bucket, companionLife(bucket, now), now)
  const fields = await signPostPolicy({
    ...signing,
    key,
    fields: {
      success_action_status: '201',
      ...(mimetype === undefined ? {} : { 'content-type': mimetype }),
      ...metadataFields(named),
    },
    maxBytes: largestFile(bucket, MAX_PUT_BYTES),
  })
  return { url: bucket.origin + bucket.basePath, fields, expiresIn }
}

/**
 * A field of a form holds any text, but browsers write each line break as CRLF, which is not what
 * the policy says.
 */
const fieldValue = (value: string): string => (/\p{Cc}/u.test(value) ? encodedWord(value) : value)
