import { MAX_METADATA_BYTES } from '../bucket/limits.ts'

/** What a client may say of a file, field by field: the routes and the signer hold it to the same. */

/** Longest file name, in UTF-16 code units. */
export const MAX_FILE_NAME_LENGTH = 1024
/** Folder under `uploads/`: segments with "/" between. */
export const DIRECTORY = /^[^/]+(?:\/[^/]+)*$/
/** Name of one member of S3's user-defined metadata. */
export const METADATA_NAME = /^[a-z0-9-]{1,64}$/
/** Such a name as S3 takes it: protocols that aren't ours have more of them. */
export const S3_METADATA_NAME = /^[\w.-]{1,64}$/
/** Longest value of such a member, in UTF-16 code units. */
export const MAX_METADATA_VALUE_LENGTH = MAX_METADATA_BYTES
/**
 * A header's value that arrives as it was sent: printable ASCII without leading, trailing or double
 * spaces.
 */
export const HEADER_VALUE = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/
/** Longest `Cache-Control`. */
export const MAX_CACHE_CONTROL_LENGTH = 255
/** SHA-256 of a file in base64. */
export const SHA256 = /^[A-Za-z0-9+/]{43}=$/
