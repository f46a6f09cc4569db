import { MAX_METADATA_BYTES, UPLOAD_MARK } from './limits.ts'

/** The rules for the fields of an upload, which the routes and the signer share. */

/** Maximum length of a file name, in UTF-16 code units. */
export const MAX_FILE_NAME_LENGTH = 1024
/** Folder under `uploads/`: segments separated by "/". */
export const DIRECTORY = /^[^/]+(?:\/[^/]+)*$/
/** Name of one member of S3's user-defined metadata. */
export const METADATA_NAME = /^[a-z0-9-]{1,64}$/
/** The names that S3 accepts. Other protocols allow more names than this API. */
export const S3_METADATA_NAME = /^[\w.-]{1,64}$/
/**
 * Names that no client can set: the presigner's own, also with "_", which some servers don't
 * distinguish from "-" in a header, and one that JavaScript's objects don't have as a member.
 */
export const RESERVED_METADATA_NAME = new RegExp(
  `^(?:${UPLOAD_MARK.replaceAll('-', '[-_]')}|__proto__)$`,
  'i',
)
/** Maximum length of such a value, in UTF-16 code units. */
export const MAX_METADATA_VALUE_LENGTH = MAX_METADATA_BYTES
/**
 * A header value that arrives unchanged: printable ASCII without leading, trailing or double
 * spaces.
 */
export const HEADER_VALUE = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/
/** Maximum length of `Cache-Control`. */
export const MAX_CACHE_CONTROL_LENGTH = 255
/**
 * A `Content-Disposition` (RFC 6266): a type, then parameters, each a token or a quoted string. A
 * name that is not ASCII goes into `filename*` (RFC 8187).
 */
export const CONTENT_DISPOSITION =
  /^(?!.* {2})[\w-]+(?:; ?[\w*-]+=(?:[\w!#$%&'*+.^`|~-]+|"(?:[ !#-[\]-~]|\\[ -~])*"))*$/
/** Maximum length of `Content-Disposition`. */
export const MAX_CONTENT_DISPOSITION_LENGTH = 1024
/** A `Content-Encoding`: codings that were applied to the file, such as `gzip`. */
export const CONTENT_ENCODING = /^(?!.*aws-chunked)[\w.+-]+(?:, ?[\w.+-]+){0,7}$/i
/** SHA-256 of a file in base64. */
export const SHA256 = /^[A-Za-z0-9+/]{43}=$/
