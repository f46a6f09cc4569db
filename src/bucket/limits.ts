/** SigV4 refuses a presigned URL that lives longer: seven days. */
export const MAX_SIGNATURE_SECONDS = 604_800
/** The longest life of an upload URL. */
export const MAX_UPLOAD_SECONDS = 3600
/**
 * How long an upload in parts may take: upload ids, and signatures for parts, end seven days after
 * the key was made.
 */
export const MAX_UPLOAD_AGE_SECONDS = 604_800
/**
 * After this time no URL can replace the object of a key that was made here: the last signature for
 * an upload in parts has expired. A day more is for a PUT that began in time and ends late.
 */
export const MAX_REPLACEABLE_SECONDS = MAX_UPLOAD_AGE_SECONDS + MAX_UPLOAD_SECONDS + 86_400
/** The longest life of a link: a year. */
export const MAX_LINK_SECONDS = 31_536_000
