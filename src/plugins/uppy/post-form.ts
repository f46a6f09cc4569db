import { contextOf, type Principal } from '../../access/principal.ts'
import type { SigningSettings } from '../../access/settings.ts'
import type { Bucket } from '../../bucket/bucket.ts'
import { MAX_PUT_BYTES } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import { encodedWord, metadataFields } from '../../core/signed-headers.ts'
import { largestFile } from '../../core/size-limit.ts'
import { uploadSignature } from '../../core/upload-url.ts'
import type { ObjectKey } from '../../keys/object-key.ts'
import { companionLifetime } from './dialect.ts'
import { postObjectFields, postUrl, signPostPolicy } from './post-policy.ts'
import { sealFormPolicy } from './sealed.ts'

/** `requireVacant` has checked a chosen key. Only with one, `overwrite` is defined. */
export interface PostFormRequest
  extends Pick<
    UploadFields,
    'fileName' | 'overwrite' | 'byApp' | 'cacheControl' | 'contentDisposition' | 'headers'
  > {
  /** From `newUpload`. */
  readonly key: ObjectKey
  readonly mimetype: string | undefined
  /** Names are valid in an HTTP header. */
  readonly metadata: Readonly<Record<string, string>>
}

export interface PostForm {
  readonly url: string
  /** The fields before the file in the form, in this order. */
  readonly fields: Readonly<Record<string, string>>
  /** Whole seconds from now. */
  readonly expiresIn: number
}

/** Returns a form for `maxBytes` at most: to S3 PostObject, or `ownUrl` if the server lacks it. */
export async function createPostForm(
  settings: SigningSettings,
  { bucket, ownUrl }: { readonly bucket: Bucket; readonly ownUrl: string },
  { fileName, mimetype, metadata, key, overwrite, byApp, headers, ...file }: PostFormRequest,
  principal: Pick<Principal, 'id' | 'context'>,
  now: Date,
): Promise<PostForm> {
  // The Worker sends what it gets in a form as headers.
  const stored = metadataFields(metadata, bucket.postUploads ? fieldValue : encodedWord)
  const { signing, expiresIn } = uploadSignature(bucket, companionLifetime(bucket, now), now)
  const maxBytes = largestFile(bucket, MAX_PUT_BYTES)
  const about = {
    success_action_status: '201',
    ...(mimetype === undefined ? {} : { 'content-type': mimetype }),
    ...(file.cacheControl && { 'cache-control': file.cacheControl }),
    ...(file.contentDisposition && { 'content-disposition': file.contentDisposition }),
    ...stored,
  }
  if (bucket.postUploads) {
    const fields = await signPostPolicy({
      ...signing,
      key,
      fields: { ...about, ...postObjectFields(bucket, headers) },
      maxBytes,
    })
    return { url: postUrl(bucket), fields, expiresIn }
  }
  const fields = { ...about, ...headers, key, bucket: bucket.name }
  const of = { bucket: bucket.alias, owner: principal.id, name: fileName }
  const sealed = { ...of, maxBytes, overwrite, byApp, fields, ...contextOf(principal) }
  const policy = await sealFormPolicy(settings, sealed, expiresIn, now)
  return { url: ownUrl, fields: { ...fields, policy }, expiresIn }
}

/** Tells whether the bucket refuses to replace an object: only for a form through the Worker. */
export const refusesForms = ({ postUploads, conditionalPut }: Bucket): boolean =>
  !postUploads && conditionalPut

/** Encodes control characters, since a browser sends CRLF for each line break in a field. */
const fieldValue = (value: string): string => (/\p{Cc}/u.test(value) ? encodedWord(value) : value)
