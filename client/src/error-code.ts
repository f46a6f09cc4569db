import type { ApiErrorCode } from './answers/files.ts'

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
