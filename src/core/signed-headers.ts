import type { Bucket } from '../bucket/bucket.ts'
import { MAX_METADATA_BYTES } from '../bucket/limits.ts'
import { HEADER_VALUE, OBJECT_HEADERS, type UploadFields } from '../bucket/upload-fields.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8, utf8Length } from '../keys/encodings.ts'

/** Returns the headers that a client must send. Throws `invalid_request` for too much metadata. */
export function uploadHeaders(
  bucket: Pick<Bucket, 'uploadHeaders'>,
  file: Omit<UploadFields, 'fileName' | 'size'>,
): Record<string, string> {
  const { mimetype, sha256, metadata, overwrite } = file
  const headers: Record<string, string> = { 'Content-Type': mimetype }
  for (const [field, header] of OBJECT_HEADERS) if (file[field]) headers[header] = file[field]
  if (overwrite === false) headers['If-None-Match'] = '*'
  if (sha256) headers['x-amz-checksum-sha256'] = sha256
  return {
    ...headers,
    ...(metadata && metadataFields(metadata)),
    ...file.headers,
    ...bucket.uploadHeaders,
  }
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

/** Returns `metadata` under S3's names. Throws `invalid_request` if it exceeds S3's limit. */
export function metadataFields(
  metadata: Readonly<Record<string, string>>,
  encode: (value: string) => string = encodedWord,
): Record<string, string> {
  const fields: Record<string, string> = {}
  let bytes = 0
  for (const [name, value] of Object.entries(metadata)) {
    const encoded = encode(value)
    fields[`x-amz-meta-${name}`] = encoded
    bytes += name.length + utf8Length(encoded)
  }
  if (bytes > MAX_METADATA_BYTES)
    throw new ApiError('invalid_request', 'The metadata is too large.', {
      issues: [
        { path: 'metadata', message: `must not be longer than ${MAX_METADATA_BYTES} bytes` },
      ],
    })
  return fields
}

/**
 * Keeps printable ASCII with single spaces. Encodes any other text, and what looks like an encoded
 * word, as an encoded word (RFC 2047), as S3 does: a header would change it.
 */
export function encodedWord(value: string): string {
  if (value === '' || (HEADER_VALUE.test(value) && !value.startsWith('=?'))) return value
  return `=?UTF-8?B?${base64(utf8(value))}?=`
}
