/** SigV4 refuses a presigned URL that lives longer: seven days. */
export const MAX_SIGNATURE_SECONDS = 604_800
/** The longest life of an upload URL. */
export const MAX_UPLOAD_SECONDS = 3600
/** The longest life of a link: a year. */
export const MAX_LINK_SECONDS = 31_536_000
