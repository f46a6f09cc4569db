import type { Bucket } from '../bucket/bucket.ts'
import { ApiError } from '../errors/api-error.ts'
import { newObjectKey } from '../keys/new-key.ts'
import { resolveValidity } from '../signing/expiry.ts'
import { signPostPolicy } from '../signing/post-policy.ts'
import { requireContentType } from '../uploads/content-type.ts'
import { metadataFields, requireMetadataSize } from '../uploads/signed-headers.ts'
import { largestFile, MAX_PUT_BYTES } from '../uploads/size-limit.ts'
import { companionLife } from './lifetime.ts'

/** The type that S3 gives an object whose form names none. */
const DEFAULT_TYPE = 'application/octet-stream'

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
  /** What goes before the file in the form, in this order. */
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
  const credentials = bucket.uploadCredentials
  const key = newObjectKey({ fileName, prefix, directory, now })
  requireContentType(mimetype ?? DEFAULT_TYPE, key, bucket)
  requireMetadataSize(metadata)
  const expiresIn = companionLife(bucket, now)
  const validity = resolveValidity({ use: 'upload', expiresIn, bucket, credentials, now })
  const fields = await signPostPolicy({
    bucket,
    credentials,
    key,
    fields: {
      success_action_status: '201',
      ...(mimetype === undefined ? {} : { 'content-type': mimetype }),
      ...metadataFields(metadata),
    },
    maxBytes: largestFile(bucket, MAX_PUT_BYTES),
    signedAt: validity.signedAt,
    signedSeconds: validity.signedSeconds,
  })
  const url = bucket.origin + bucket.basePath
  return { url, fields, expiresIn: validity.expiresInSeconds }
}
