import { MAX_METADATA_BYTES } from '../bucket/limits.ts'
import { ApiError } from '../errors/api-error.ts'
import { base64, utf8, utf8Length } from '../keys/encodings.ts'

/** What a caller may fix about an object before it is uploaded; each becomes a signed header. */
export interface UploadConditions {
  readonly mimetype: string
  /** SHA-256 of the file in base64, checked by the bucket. */
  readonly sha256?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly cacheControl?: string | undefined
  /** False refuses to replace an object. */
  readonly overwrite?: boolean | undefined
}

/**
 * The headers that the client must send, by S3 PutObject's names. Throws `invalid_request` for too
 * much metadata.
 */
export function uploadHeaders(conditions: UploadConditions): Record<string, string> {
  const { mimetype, sha256, metadata = {}, cacheControl, overwrite } = conditions
  return {
    'Content-Type': mimetype,
    ...(cacheControl === undefined ? {} : { 'Cache-Control': cacheControl }),
    ...(overwrite === false ? { 'If-None-Match': '*' } : {}),
    ...(sha256 === undefined ? {} : { 'x-amz-checksum-sha256': sha256 }),
    ...metadataHeaders(metadata),
  }
}

/** `metadata` as headers of an upload. Throws `invalid_request` for more than S3 takes. */
export function metadataHeaders(
  metadata: Readonly<Record<string, string>>,
): Record<string, string> {
  const encoded = Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, encodedWord(value)]),
  )
  requireMetadataSize(encoded)
  return metadataFields(encoded)
}

/** Those members of `metadata` that S3 takes together, the first of them first. */
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

/** `metadata` by the names under which S3 takes it, in headers and in forms. */
export const metadataFields = (
  metadata: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]))

/** Throws `invalid_request` for more than S3 takes. */
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
 * `value` as a header carries it unchanged: what isn't printable ASCII with single spaces inside,
 * or would be read as an encoded word of RFC 2047, becomes one, as S3 itself writes such values.
 */
export function encodedWord(value: string): string {
  if (/^(?!=\?)(?:[\x21-\x7e]+(?: [\x21-\x7e]+)*)?$/.test(value)) return value
  return `=?UTF-8?B?${base64(utf8(value))}?=`
}
