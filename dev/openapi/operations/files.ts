import { MAX_PUT_BYTES } from '../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../src/errors/api-error.ts'
import { filePage, fileRecord, fileUrl, fileUrls, uploadUrl } from '../answers.ts'
import { DOWNLOAD_SECONDS, UPLOAD_SECONDS } from '../members.ts'
import type { Operations } from '../operation.ts'

/** Of what looks at the object in the bucket, or changes it. */
const STORAGE: readonly ErrorCode[] = [
  'storage_error',
  'storage_busy',
  'credentials_expired',
  'unknown_bucket',
]

export const fileOperations: Operations = {
  'POST /files/upload-url': {
    id: 'createUploadUrl',
    tag: 'files',
    summary: 'Sign a PUT for a new key',
    description: 'Makes a key and signs a PUT for it. No request goes to the bucket.',
    scopes: ['files:upload'],
    members: {
      size: {
        description:
          'Bytes, signed as `Content-Length`. Required where the bucket has `maxBytes`, which may be less than 5 GiB.',
        maximum: MAX_PUT_BYTES,
      },
      overwrite: {
        description: '`false` makes the bucket refuse to replace an object.',
        default: true,
      },
      expiresIn: UPLOAD_SECONDS,
    },
    answers: { 200: { description: 'Where to PUT the file, and how.', body: uploadUrl } },
    errors: [
      'invalid_mimetype',
      'mimetype_not_allowed',
      'type_mismatch',
      'size_required',
      'file_too_large',
      'invalid_key',
      'invalid_expiry',
      'credentials_expired',
      'unknown_bucket',
    ],
  },
  'GET /files/:key/url': {
    id: 'getFileUrl',
    tag: 'files',
    summary: 'Sign a GET',
    description:
      'Whether the object exists is not looked at; no request goes to the bucket or to KV. A key whose extension can run script comes as an attachment, unless `inline` is true.',
    scopes: ['files:read'],
    members: {
      expiresIn: DOWNLOAD_SECONDS,
      download: { description: 'The object comes as an attachment under this name.' },
      inline: { description: 'Show what could run script, too.' },
      stable: {
        description:
          'The same URL for every caller within a window as long as the life asked for. The longest life is then half as long.',
      },
    },
    answers: { 200: { description: 'The URL, and how long it works.', body: fileUrl } },
    errors: ['invalid_key', 'invalid_expiry', 'credentials_expired', 'unknown_bucket'],
  },
  'POST /files/urls': {
    id: 'getFileUrls',
    tag: 'files',
    summary: 'Sign up to 1000 GETs',
    description:
      'No request goes to the bucket or to KV. A key that is `invalid_key` or `forbidden` does not fail the others.',
    scopes: ['files:read'],
    members: { expiresIn: DOWNLOAD_SECONDS },
    answers: { 200: { description: 'A URL or an error for each key.', body: fileUrls } },
    errors: ['invalid_expiry', 'credentials_expired', 'unknown_bucket'],
  },
  'POST /files': {
    id: 'recordFile',
    tag: 'files',
    summary: 'Record an uploaded object',
    description:
      'Looks at the object in the bucket and records what is there. Repeating this changes nothing while the object has the same ETag.',
    scopes: ['files:upload'],
    answers: {
      201: {
        description: 'The record.',
        body: fileRecord,
        headers: { Location: 'Path of the record, with its `bucket`.' },
      },
    },
    errors: [
      'object_not_found',
      'invalid_key',
      'key_not_indexable',
      'index_unavailable',
      ...STORAGE,
    ],
  },
  'GET /files': {
    id: 'listFiles',
    tag: 'files',
    summary: 'List records',
    description:
      'Lists records, not the bucket, in the byte order of the keys: newest first within one directory and one prefix, for keys that this Worker made. A page may be short, or empty, and still have a `cursor`.',
    scopes: ['files:list'],
    members: {
      prefix: {
        description: "Start of the keys; must itself start with the caller's prefix, its default.",
      },
      limit: { description: 'Records on a page.' },
      cursor: { description: '`cursor` of the page before, of the same bucket and prefix.' },
      urls: {
        description: 'Gives each record a `url` for this use. Needs the scope `files:read` too.',
      },
    },
    answers: { 200: { description: 'A page of records.', body: filePage } },
    errors: [
      'invalid_cursor',
      'invalid_key',
      'index_unavailable',
      'not_supported',
      'unknown_bucket',
      'credentials_expired',
    ],
  },
  'GET /files/:key': {
    id: 'getFile',
    tag: 'files',
    summary: 'One record',
    description:
      'Where the index has none, the bucket is asked; `owner` is then null, and nothing is recorded.',
    scopes: ['files:read'],
    answers: { 200: { description: 'The record.', body: fileRecord } },
    errors: ['object_not_found', 'invalid_key', 'index_unavailable', ...STORAGE],
  },
  'DELETE /files/:key': {
    id: 'deleteFile',
    tag: 'files',
    summary: 'Delete object and record',
    description: 'Deletes the object, then its edge copy, then the record. Safe to repeat.',
    scopes: ['files:delete'],
    answers: { 204: { description: 'Deleted, or nothing was there.' } },
    errors: ['invalid_key', 'purge_failed', 'index_unavailable', ...STORAGE],
  },
}
