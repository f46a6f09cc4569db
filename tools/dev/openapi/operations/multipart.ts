import { MAX_OBJECT_BYTES } from '../../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import { partList, partUrls, recordedFile, startedUpload } from '../answers.ts'
import { CHOSEN_KEY, IN_DROP_BOX, UPLOAD_SECONDS } from '../members.ts'
import type { Operations } from '../operation.ts'

/** For every step of a started upload. */
const STEP: readonly ErrorCode[] = [
  'invalid_key',
  'invalid_upload_id',
  'unavailable',
  'unknown_bucket',
  ...IN_DROP_BOX,
]

/** For every step that sends a request to the bucket. */
const AT_BUCKET: readonly ErrorCode[] = [...STEP, 'not_supported', 'storage_error', 'unavailable']

const UPLOAD_MEMBERS = {
  key: { description: 'The object key, from the response to the start.' },
}

export const multipartOperations: Operations = {
  'POST /multipart': {
    id: 'startMultipart',
    tag: 'multipart',
    summary: 'Start an upload in parts',
    description:
      'Creates a key and starts an upload in parts in the bucket. The body has either `fileName` or `key`.',
    scopes: ['files:upload'],
    members: {
      key: CHOSEN_KEY,
      overwrite: {
        description:
          'Only with `key`: whether the upload may replace an object, which needs the scope `files:delete`.',
        default: false,
      },
      size: {
        description:
          "Bytes, at most 5 TiB or the bucket's `maxBytes`. Without it, the size of each part is stated when it is signed.",
        maximum: MAX_OBJECT_BYTES,
      },
      startId: {
        description:
          'Your own id of this upload: milliseconds since 1970, `-`, and 16 to 64 random characters. If you repeat the request with the same id, because its response was lost, the new key is the same, and completing one upload aborts the others. Not with `key`.',
      },
      partSize: {
        description:
          'Bytes of each part except the last. By default 8 MiB, or more if a file of `size` needs it, or less if a file must be smaller. The file may have at most 10,000 parts.',
      },
    },
    answers: { 200: { description: 'How to split the file.', body: startedUpload } },
    errors: [
      'invalid_name',
      'invalid_mimetype',
      'mimetype_not_allowed',
      'type_mismatch',
      'file_too_large',
      'invalid_key',
      'object_exists',
      'not_supported',
      'storage_error',
      'unavailable',
      'unknown_bucket',
      'size_required',
      ...IN_DROP_BOX,
    ],
  },
  'POST /multipart/:uploadId/urls': {
    id: 'signParts',
    tag: 'multipart',
    summary: 'Sign PUTs for parts',
    description:
      'You can ask for the same parts again, for example if their URLs have expired. If the upload has a `size`, or the request has `sizes`, the length of the part is signed. The PUT needs no headers of its own. Keep the `ETag` from the response to each PUT: you need it to complete the upload. The Worker sends no request to the bucket.',
    scopes: ['files:upload'],
    members: {
      ...UPLOAD_MEMBERS,
      partNumbers: { description: 'The numbers of the parts.' },
      sizes: {
        description:
          'Bytes of each part, in the order of `partNumbers`. Only for an upload without `size`, and required if the bucket or the token has `maxBytes`.',
      },
      expiresIn: UPLOAD_SECONDS,
    },
    answers: { 200: { description: 'A URL for each part.', body: partUrls } },
    errors: [...STEP, 'invalid_part', 'size_required', 'file_too_large', 'invalid_expiry'],
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
      'Joins the parts into one object, and records the file. Safe to repeat: if the upload is already complete, the file is still recorded. After `size_mismatch` and `file_too_large`, the upload was aborted.',
    scopes: ['files:upload'],
    members: {
      ...UPLOAD_MEMBERS,
      name: {
        description:
          'The name to show to people. The default is the `fileName` that started the upload.',
      },
      parts: {
        description:
          "All parts, by ascending number. `etag` is from the bucket's response to the PUT, with or without its quotes.",
      },
    },
    answers: {
      201: {
        description: 'The record.',
        body: recordedFile,
        headers: { Location: 'Path of the record, with its `bucket`.' },
      },
    },
    errors: [
      'object_exists',
      'precondition_failed',
      'file_replaced',
      ...AT_BUCKET,
      'upload_not_found',
      'invalid_name',
      'invalid_part',
      'size_mismatch',
      'file_too_large',
      'object_not_found',
      'key_not_indexable',
      'unavailable',
    ],
  },
  'DELETE /multipart/:uploadId': {
    id: 'abortMultipart',
    tag: 'multipart',
    summary: 'Cancel an upload and delete its parts',
    description: 'Safe to repeat. An upload that is complete stays as it is.',
    scopes: ['files:upload'],
    members: UPLOAD_MEMBERS,
    answers: { 204: { description: 'Canceled, or the upload did not exist.' } },
    errors: AT_BUCKET,
  },
}
