import type { ObjectKey } from '../keys/object-key.ts'
import { UPLOAD_MARK } from './limits.ts'

/**
 * The fields of an upload. `http/fields.ts` makes the schemas of requests from what is here, from
 * which the OpenAPI document follows, and `signer.ts` its own checks, without zod.
 */

/** A pattern, and what is wrong with another text, in words that follow the name of its field. */
type Pattern = readonly [RegExp, string]

/** Maximum length of a file name, in UTF-16 code units. */
export const MAX_FILE_NAME_LENGTH = 1024

/** Folder under `uploads/`. */
export const DIRECTORY: Pattern = [/^[^/]+(?:\/[^/]+)*$/, 'must be segments separated by "/"']
/** SHA-256 of a file. */
export const SHA256: Pattern = [/^[A-Za-z0-9+/]{43}=$/, 'must be 32 bytes in base64']
/** Name of one member of S3's user-defined metadata. */
export const METADATA_NAME: Pattern = [/^[a-z0-9-]{1,64}$/, 'must be a name of a-z, 0-9 and "-"']
/** The names that S3 accepts. Other protocols allow more names than this API. */
export const S3_METADATA_NAME = /^[\w.-]{1,64}$/
/**
 * Names that no client can set: the presigner's own, also with "_", which some servers don't
 * distinguish from "-" in a header, and one that JavaScript's objects don't have as a member.
 */
const RESERVED_METADATA_NAME = new RegExp(
  `^(?:${UPLOAD_MARK.replaceAll('-', '[-_]')}|__proto__)$`,
  'i',
)

/** Returns what is wrong with a reserved name, or null. */
export const reservedNameError = (name: string): string | null =>
  RESERVED_METADATA_NAME.test(name) ? 'is a reserved name' : null

/** A header value that arrives unchanged: printable ASCII with single spaces inside. */
export const HEADER_VALUE = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/
/**
 * A `Content-Disposition` (RFC 6266): a type, then parameters, each a token or a quoted string. A
 * name that is not ASCII goes into `filename*` (RFC 8187).
 */
export const CONTENT_DISPOSITION =
  /^(?!.* {2})[\w-]+(?:; ?[\w*-]+=(?:[\w!#$%&'*+.^`|~-]+|"(?:[ !#-[\]-~]|\\[ -~])*"))*$/
/** A `Content-Encoding`: codings that were applied to the file, such as `gzip`. */
export const CONTENT_ENCODING = /^(?!.*aws-chunked)[\w.+-]+(?:, ?[\w.+-]+){0,7}$/i

/**
 * The headers that a client may set for its object: the name of the field, the header, the maximum
 * length in UTF-16 code units, and the pattern of a value.
 */
export const OBJECT_HEADERS = [
  ['cacheControl', 'Cache-Control', 255, HEADER_VALUE],
  ['contentDisposition', 'Content-Disposition', 1024, CONTENT_DISPOSITION],
  ['contentEncoding', 'Content-Encoding', 255, CONTENT_ENCODING],
] as const

type ObjectHeader = (typeof OBJECT_HEADERS)[number]

/** Messages for invalid values. Not in `OBJECT_HEADERS`, since the signer has one message for all. */
export const HEADER_MESSAGES: Readonly<Record<ObjectHeader[0], string>> = {
  cacheControl: 'must be printable ASCII',
  contentDisposition: 'must be a Content-Disposition, such as attachment; filename="a.pdf"',
  contentEncoding: 'must be content codings, such as "gzip", and not "aws-chunked"',
}

/** Returns what `make` returns for each of `OBJECT_HEADERS`, by its field. */
export const byObjectHeader = <Made>(make: (row: ObjectHeader) => Made) =>
  Object.fromEntries(OBJECT_HEADERS.map((row) => [row[0], make(row)])) as Record<
    ObjectHeader[0],
    Made
  >

type ObjectHeaders = { readonly [Field in ObjectHeader[0]]?: string | undefined }

/** What is known of a file before its upload. */
export interface UploadFields extends ObjectHeaders {
  /** The name on the user's disk. A path before it is removed. */
  readonly fileName: string
  readonly mimetype: string
  /** Size in bytes, if the client states it. */
  readonly size?: number | undefined
  /** SHA-256 of the file in base64, checked by the bucket. */
  readonly sha256?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Folder under `uploads/`, without slashes at its ends. */
  readonly directory?: string | undefined
  /** The key that the caller chose. Default: a new key. */
  readonly key?: ObjectKey | undefined
  readonly overwrite?: boolean | undefined
  /** Whether the app chose the key, or lets the upload replace an object. */
  readonly byApp?: boolean | undefined
  /** Other headers of the upload, which no client sets, by their names. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}
