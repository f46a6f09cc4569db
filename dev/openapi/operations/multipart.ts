import { MAX_OBJECT_BYTES } from '../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../src/errors/api-error.ts'
import { fileRecord, partList, partUrls, startedUpload } from '../answers.ts'
import { UPLOAD_SECONDS } from '../members.ts'
import type { Operations } from '../operation.ts'

/** Of every step of an upload that was begun. */
const STEP: readonly ErrorCode[] = [
  'invalid_key',
  'invalid_upload_id',
  'credentials_expired',
  'unknown_bucket',
]

/** Of every step that the bucket takes part in. */
const AT_BUCKET: readonly ErrorCode[] = [...STEP, 'not_supported', 'storage_error', 'storage_busy']

const UPLOAD_MEMBERS = {
  key: { description: 'The object key, as the answer to the start gave it.' },
}

export const multipartOperations: Operations = {
  'POST /multipart': {
    id: 'startMultipart',
    tag: 'multipart',
    summary: 'Start an upload in parts',
    description: 'Makes a key and begins a multipart upload in the bucket.',
    scopes: ['files:upload'],
    members: {
      size: {
        description: "Bytes; at most 5 TiB, or the bucket's `maxBytes`.",
        maximum: MAX_OBJECT_BYTES,
      },
    },
    answers: { 200: { description: 'How to cut the file.', body: startedUpload } },
    errors: [
      'invalid_mimetype',
      'mimetype_not_allowed',
      'type_mismatch',
      'file_too_large',
      'invalid_key',
      'not_supported',
      'storage_error',
      'storage_busy',
      'credentials_expired',
      'unknown_bucket',
    ],
  },
  'POST /multipart/:uploadId/urls': {
    id: 'signParts',
    tag: 'multipart',
    summary: 'Sign PUTs for parts',
    description:
      'May be asked again for the same parts, such as when their URLs have expired. The length of the part is signed; nothing else has to be sent, and the `ETag` of the answer is needed to complete. No request goes to the bucket.',
    scopes: ['files:upload'],
    members: {
      ...UPLOAD_MEMBERS,
      partNumbers: { description: 'Which parts.' },
      expiresIn: UPLOAD_SECONDS,
    },
    answers: { 200: { description: 'A URL for each part.', body: partUrls } },
    errors: [...STEP, 'invalid_part', 'invalid_expiry'],
  },
  'GET /multipart/:uploadId': {
    id: 'listParts',
    tag: 'multipart',
    summary: 'List the parts that the bucket has',
    scopes: ['files:upload'],
    members: UPLOAD_MEMBERS,
    answers: { 200: { description: 'All parts.', body: partList } },
    errors: [...AT_BUCKET, 'upload_not_found'],
  },
  'POST /multipart/:uploadId/complete': {
    id: 'completeMultipart',
    tag: 'multipart',
    summary: 'Complete an upload in parts',
    description:
      'Makes one object of the parts, and records the file. Safe to repeat: an upload that is complete is recorded all the same.',
    scopes: ['files:upload'],
    members: {
      ...UPLOAD_MEMBERS,
      name: { description: 'The name to show to people; `fileName` of the start unless given.' },
      parts: {
        description:
          'All parts, by ascending number. `etag` is what the bucket answered to the PUT, with or without its quotes.',
      },
    },
    answers: {
      201: {
        description: 'The record.',
        body: fileRecord,
        headers: { Location: 'Path of the record, with its `bucket`.' },
      },
    },
    errors: [
      ...AT_BUCKET,
      'upload_not_found',
      'invalid_part',
      'size_mismatch',
      'file_too_large',
      'object_not_found',
      'key_not_indexable',
      'index_unavailable',
    ],
  },
  'DELETE /multipart/:uploadId': {
    id: 'abortMultipart',
    tag: 'multipart',
    summary: 'Drop an upload and its parts',
    description: 'Safe to repeat. An upload that is complete stays as it is.',
    scopes: ['files:upload'],
    members: UPLOAD_MEMBERS,
    answers: { 204: { description: 'Dropped, or nothing was there.' } },
    errors: AT_BUCKET,
  },
}
