/** The codes of the API's errors, as docs/api.md of the Worker explains them. */
export const API_ERROR_CODES = [
  'invalid_request',
  'malformed_json',
  'malformed_url',
  'invalid_key',
  'key_not_indexable',
  'invalid_cursor',
  'invalid_expiry',
  'invalid_mimetype',
  'mimetype_not_allowed',
  'type_mismatch',
  'size_required',
  'invalid_upload_id',
  'invalid_part',
  'size_mismatch',
  'unauthenticated',
  'forbidden',
  'link_invalid',
  'not_found',
  'object_not_found',
  'upload_not_found',
  'unknown_bucket',
  'encoding_not_acceptable',
  'link_expired',
  'body_too_large',
  'file_too_large',
  'unsupported_media_type',
  'rate_limited',
  'internal',
  'not_supported',
  'storage_error',
  'storage_busy',
  'misconfigured',
  'credentials_expired',
  'index_unavailable',
  'purge_failed',
  'auth_unavailable',
] as const

export type ApiErrorCode = (typeof API_ERROR_CODES)[number]

/**
 * What goes wrong on this side of the API: `network` (no answer), `bad_answer` (not one of the
 * API's), `bucket_refused` (an error of the bucket to a PUT), `etag_hidden` (the bucket's CORS
 * rules do not expose ETag), `invalid_options`.
 */
export type ClientErrorCode =
  | 'network'
  | 'bad_answer'
  | 'bucket_refused'
  | 'etag_hidden'
  | 'invalid_options'

export type ErrorCode = ApiErrorCode | ClientErrorCode

/** Whether `value` is a code of the API. */
export const isApiErrorCode = (value: unknown): value is ApiErrorCode =>
  API_ERROR_CODES.some((code) => code === value)
