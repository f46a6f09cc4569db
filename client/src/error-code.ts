/**
 * The API's error codes. The Worker's docs/api.md explains them. A newer Worker may have others.
 */
export type ApiErrorCode =
  | 'invalid_request'
  | 'malformed_json'
  | 'malformed_url'
  | 'invalid_key'
  | 'key_not_indexable'
  | 'invalid_name'
  | 'invalid_cursor'
  | 'invalid_expiry'
  | 'invalid_mimetype'
  | 'mimetype_not_allowed'
  | 'encoding_not_acceptable'
  | 'type_mismatch'
  | 'size_required'
  | 'invalid_upload_id'
  | 'invalid_part'
  | 'size_mismatch'
  | 'unauthenticated'
  | 'forbidden'
  | 'link_invalid'
  | 'password_wrong'
  | 'not_found'
  | 'object_not_found'
  | 'upload_not_found'
  | 'unknown_bucket'
  | 'object_exists'
  | 'file_replaced'
  | 'drop_box_full'
  | 'upload_ended'
  | 'user_changed'
  | 'link_expired'
  | 'grant_ended'
  | 'drop_box_closed'
  | 'precondition_failed'
  | 'body_too_large'
  | 'file_too_large'
  | 'unsupported_media_type'
  | 'unsupported_image'
  | 'rate_limited'
  | 'refused'
  | 'internal'
  | 'not_supported'
  | 'storage_error'
  | 'misconfigured'
  | 'unavailable'

/**
 * The client's own error codes: `network` (no response), `unreachable` (no response from an origin
 * that has never responded: a wrong `baseUrl`, or CORS), `bad_answer` (a response that is not the
 * API's), `bucket_refused` (the bucket returned an error to a PUT), `etag_hidden` (the bucket's
 * CORS rules do not expose ETag), `file_changed` (on disk, since the user chose it),
 * `invalid_options`, `browser_required`, `invalid_webhook`.
 */
export type ClientErrorCode =
  | 'network'
  | 'unreachable'
  | 'bad_answer'
  | 'bucket_refused'
  | 'etag_hidden'
  | 'file_changed'
  | 'invalid_options'
  | 'browser_required'
  | 'invalid_webhook'

export type ErrorCode = ApiErrorCode | ClientErrorCode
