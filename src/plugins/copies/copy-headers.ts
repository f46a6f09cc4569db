import type { Bucket } from '../../bucket/bucket.ts'
import { UPLOAD_MARK } from '../../bucket/limits.ts'
import type { UploadFields } from '../../bucket/upload-fields.ts'
import { uploadHeaders } from '../../core/signed-headers.ts'
import { askHead, type ObjectHead } from '../../storage/object.ts'
import { type CopySource, readTags, sourceReplaced } from './s3.ts'

/** What an object keeps besides its metadata when its headers are replaced. */
const KEPT =
  /^(?:content-(?:type|disposition|encoding|language)|cache-control|expires|x-amz-website-redirect-location)$/
const METADATA = 'x-amz-meta-'

/** Tells whether `type` is that of the object, which may have none. */
export const hasTypeOf = ({ mimetype }: Pick<ObjectHead, 'mimetype'>, type: string): boolean =>
  plain(mimetype) === plain(type)

/** AWS stores `binary/octet-stream` for an object without a type. */
const plain = (type: string): string => type.replace(/^binary\//, 'application/')

/** What the app may change, without what only names the file. */
type Changes = Omit<UploadFields, 'fileName' | 'size'>

/**
 * Returns the headers of a copy: those of every upload to the target's bucket, and what the app
 * changed. The server copies everything else, unless the app changed something or the copy is in
 * parts. Then the source's own headers are read and sent again. Throws `file_replaced`.
 */
export async function copyHeaders(
  source: CopySource & Pick<ObjectHead, 'mimetype'>,
  { uploadHeaders: ofBucket }: Pick<Bucket, 'uploadHeaders'>,
  file: Changes,
  isInParts: boolean,
  now: Date,
): Promise<Record<string, string>> {
  const { 'Content-Type': type, ...changes } = uploadHeaders(
    { uploadHeaders: null },
    { ...file, overwrite: undefined },
  )
  // No metadata is other metadata.
  if (!isInParts && Object.keys(changes).length === 0 && file.metadata === undefined)
    return { ...directive('COPY', ofBucket), ...ofBucket }
  const [headers, tags] = await storedHeaders(source, file.metadata === undefined, now)
  const added: Record<string, string> = { ...changes, ...ofBucket }
  // With parts, no server copies the tags.
  if (isInParts && tags > 0 && !('x-amz-tagging' in added))
    headers.set('x-amz-tagging', await readTags(source, now))
  for (const [name, value] of Object.entries(added)) headers.set(name, value)
  const sent = Object.fromEntries(headers)
  return isInParts ? sent : { ...directive('REPLACE', sent), ...sent }
}

/** The server otherwise takes the tags of the source, and ignores those that are sent. */
const directive = (
  metadata: 'COPY' | 'REPLACE',
  sent: Readonly<Record<string, string>> | null,
) => ({
  'x-amz-metadata-directive': metadata,
  ...(sent !== null && 'x-amz-tagging' in sent && { 'x-amz-tagging-directive': 'REPLACE' }),
})

/** Resolves with the headers to send again, and how many tags the object has, as far as the access key may know. */
async function storedHeaders(
  { bucket, key, etag, mimetype }: CopySource & Pick<ObjectHead, 'mimetype'>,
  keepsMetadata: boolean,
  now: Date,
): Promise<[headers: Headers, tags: number]> {
  const [response] = await askHead(bucket, key, now)
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  if (response.headers.get('etag') !== etag || !hasTypeOf({ mimetype }, type))
    throw sourceReplaced()
  const kept = [...response.headers].filter(
    ([name]) =>
      KEPT.test(name) ||
      // The mark belongs to the upload that made the source.
      (keepsMetadata && name.startsWith(METADATA) && name !== METADATA + UPLOAD_MARK),
  )
  return [new Headers(kept), Number(response.headers.get('x-amz-tagging-count'))]
}
