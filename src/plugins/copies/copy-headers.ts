import type { Bucket } from '../../bucket/bucket.ts'
import { UPLOAD_MARK } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import { uploadHeaders } from '../../core/signed-headers.ts'
import { askHead, type ObjectHead } from '../../storage/object.ts'
import { type CopySource, sourceReplaced } from './s3.ts'

/** What an object keeps besides its metadata when its headers are replaced. */
const KEPT =
  /^(?:content-(?:type|disposition|encoding|language)|cache-control|expires|x-amz-website-redirect-location)$/
const METADATA = 'x-amz-meta-'

/** Tells whether `type` is that of the object, which may have none. */
export const hasTypeOf = ({ mimetype }: Pick<ObjectHead, 'mimetype'>, type: string): boolean =>
  plainType(mimetype) === plainType(type)

/** AWS stores `binary/octet-stream` for an object without a type. */
export const plainType = (type: string): string => type.replace(/^binary\//, 'application/')

/** What the app may change, without what only names the file. */
type Changes = Omit<UploadFields, 'fileName' | 'size'>

/**
 * Returns the headers of a copy: those of every upload to the target's bucket, and what the app
 * changed. The server copies everything else, unless the app changed something, or the source has the mark
 * of its upload, which a copy has not. Then the source's own headers are read and sent again. Throws
 * `file_replaced`.
 */
export async function copyHeaders(
  source: CopySource & Pick<ObjectHead, 'mimetype' | 'mark'>,
  { uploadHeaders: ofBucket }: Pick<Bucket, 'uploadHeaders'>,
  file: Changes,
  now: Date,
): Promise<Record<string, string>> {
  const { 'Content-Type': type, ...changes } = uploadHeaders(
    { uploadHeaders: null },
    { ...file, overwrite: undefined },
  )
  const hasMark = source.mark !== undefined && file.metadata === undefined
  // A client that states metadata replaces all of it.
  const isSame = Object.keys(changes).length === 0 && file.metadata === undefined && !hasMark
  const kept = isSame ? {} : await storedHeaders(source, file.metadata === undefined, now)
  const headers = new Headers(kept)
  for (const [name, value] of Object.entries({ ...changes, ...ofBucket })) headers.set(name, value)
  return {
    'x-amz-metadata-directive': isSame ? 'COPY' : 'REPLACE',
    // The server otherwise takes the tags of the source, and ignores those that are sent.
    ...(headers.has('x-amz-tagging') && { 'x-amz-tagging-directive': 'REPLACE' }),
    ...Object.fromEntries(headers),
  }
}

/** Resolves with the headers to send again. */
async function storedHeaders(
  { bucket, key, etag, mimetype }: CopySource & Pick<ObjectHead, 'mimetype'>,
  keepsMetadata: boolean,
  now: Date,
): Promise<Record<string, string>> {
  const [response] = await askHead(bucket, key, now)
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  if (response.headers.get('etag') !== etag || !hasTypeOf({ mimetype }, type))
    throw sourceReplaced()
  return Object.fromEntries(
    [...response.headers].filter(
      ([name]) =>
        KEPT.test(name) ||
        (keepsMetadata && name.startsWith(METADATA) && name !== METADATA + UPLOAD_MARK),
    ),
  )
}
