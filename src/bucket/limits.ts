/** S3's limit for one PutObject: 5 GiB. */
export const MAX_PUT_BYTES = 5 * 1024 ** 3
/** S3's limit for one object: 5 TiB. */
export const MAX_OBJECT_BYTES = 5 * 1024 ** 4
/** S3's limits for a part that is not the last one: 5 MiB and 5 GiB. */
export const MIN_PART_BYTES = 5 * 1024 ** 2
export const MAX_PART_BYTES = 5 * 1024 ** 3
/** S3's limit for the parts of one upload. */
export const MAX_PARTS = 10_000
/** Maximum size of a list of all parts of an upload, as JSON or XML. */
export const MAX_PARTS_BODY_BYTES = 2 * 1024 ** 2
/** S3's limit for names and values of user-defined metadata together, in bytes. */
export const MAX_METADATA_BYTES = 2048
/** Metadata that only the presigner sets: which upload in parts made the object of a key. */
export const UPLOAD_MARK = 'edge-presigner-upload'
/** Maximum number of keys in one request, and of files on one page of a list. */
export const MAX_KEYS = 1000
/** SigV4's maximum lifetime of a signed URL: seven days. */
export const MAX_SIGNATURE_SECONDS = 604_800
/** Maximum lifetime of an upload URL. */
export const MAX_UPLOAD_SECONDS = 3600
/** How long an upload in parts may take, from the creation of its key: seven days. */
export const MAX_UPLOAD_AGE_SECONDS = 604_800
/** How far a client's clock may be from the Worker's to choose the time in a new key. */
export const MAX_SKEW_SECONDS = 600
/**
 * After this time, no URL can replace the object of a key that the presigner created, since the
 * last signature for an upload in parts has expired, even if the key has the time of a client. One
 * more day is for a PUT that starts in time and ends late.
 */
export const MAX_REPLACEABLE_SECONDS =
  MAX_UPLOAD_AGE_SECONDS + MAX_UPLOAD_SECONDS + MAX_SKEW_SECONDS + 86_400
/** Maximum lifetime of a link: a year. */
export const MAX_LINK_SECONDS = 31_536_000
