import type { Bucket } from '../bucket/bucket.ts'
import { MAX_METADATA_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8, utf8Length } from '../keys/encodings.ts'

/** What a caller can set for an object before the upload. Each member becomes a signed header. */
export interface UploadConditions {
  readonly mimetype: string
  /** SHA-256 of the file in base64, checked by the bucket. */
  readonly sha256?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly cacheControl?: string | undefined
  readonly contentDisposition?: string | undefined
  readonly contentEncoding?: string | undefined
  /** With false, the upload can't replace an object. */
  readonly overwrite?: boolean | undefined
}

/**
 * Returns the headers of S3 PutObject that the client must send, with those of the bucket. Throws
 * `invalid_request` for too much metadata.
 */
export function uploadHeaders(
  bucket: Pick<Bucket, 'uploadHeaders'>,
  conditions: UploadConditions,
): Record<string, string> {
  const { mimetype, sha256, metadata = {}, cacheControl, overwrite } = conditions
  const { contentDisposition, contentEncoding } = conditions
  return {
    'Content-Type': mimetype,
    ...(cacheControl && { 'Cache-Control': cacheControl }),
    ...(contentDisposition && { 'Content-Disposition': contentDisposition }),
    ...(contentEncoding && { 'Content-Encoding': contentEncoding }),
    ...(overwrite === false && { 'If-None-Match': '*' }),
    ...(sha256 && { 'x-amz-checksum-sha256': sha256 }),
    ...metadataHeaders(metadata),
    ...bucket.uploadHeaders,
  }
}

function metadataHeaders(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const encoded = Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, encodedWord(value)]),
  )
  requireMetadataSize(encoded)
  return metadataFields(encoded)
}

/** Returns the members of `metadata` that fit into S3's limit, starting with the first one. */
export function fittingMetadata(
  metadata: Readonly<Record<string, string>>,
): Record<string, string> {
  let room = MAX_METADATA_BYTES
  const fitting = Object.entries(metadata).filter(([name, value]) => {
    const bytes = name.length + encodedWord(value).length
    if (bytes > room) return false
    room -= bytes
    return true
  })
  return Object.fromEntries(fitting)
}

/** Returns `metadata` under S3's names for headers and forms. */
export const metadataFields = (
  metadata: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]))

/** Throws `invalid_request` if the metadata exceeds S3's limit. */
export function requireMetadataSize(metadata: Readonly<Record<string, string>>): void {
  const bytes = Object.entries(metadata).reduce(
    (sum, [name, value]) => sum + name.length + utf8Length(value),
    0,
  )
  if (bytes > MAX_METADATA_BYTES)
    throw new ApiError('invalid_request', 'The metadata is too large.', {
      issues: [
        { path: 'metadata', message: `must not be longer than ${MAX_METADATA_BYTES} bytes` },
      ],
    })
}

/**
 * Returns `value` in a form that a header doesn't change. Printable ASCII with single spaces stays.
 * Anything else, and text that looks like an encoded word of RFC 2047, becomes an encoded word, as
 * in S3 itself.
 */
export function encodedWord(value: string): string {
  if (/^(?!=\?)(?:[\x21-\x7e]+(?: [\x21-\x7e]+)*)?$/.test(value)) return value
  return `=?UTF-8?B?${base64(utf8(value))}?=`
}
