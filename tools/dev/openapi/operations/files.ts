import { MAX_PUT_BYTES } from '../../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import {
  copiedFiles,
  deletedFiles,
  erasure,
  filePage,
  fileRecord,
  fileUrl,
  fileUrls,
  recordedFile,
  recordedFiles,
  stats,
  uploadUrl,
  uploadUrls,
} from '../answers.ts'
import { CHOSEN_KEY, DOWNLOAD_SECONDS, IN_DROP_BOX, UPLOAD_SECONDS } from '../members.ts'
import type { Members, Operation, Operations } from '../operation.ts'

/** For operations that read or change the object in the bucket. */
const STORAGE: readonly ErrorCode[] = ['storage_error', 'unavailable', 'unknown_bucket']

const COPY_ERRORS: readonly ErrorCode[] = [
  'object_not_found',
  'object_exists',
  'file_replaced',
  'invalid_key',
  'invalid_name',
  'not_supported',
  'invalid_mimetype',
  'mimetype_not_allowed',
  'type_mismatch',
  'size_required',
  'file_too_large',
  'key_not_indexable',
  'unavailable',
  ...STORAGE,
]

/** Members of both routes. */
const COPY_MEMBERS: Members = {
  from: { description: 'The key of the source. A body has `from` and `to`, or `files`.' },
  to: { description: 'The key of the target, which must not look like a generated one.' },
  toBucket: {
    description:
      "Alias of the target's bucket, which must be at the same endpoint. Default: `bucket`.",
  },
  bucket: { description: 'Alias of the bucket of the source.' },
  overwrite: {
    description:
      'Whether an object under `to` may be replaced, which needs the scope `files:delete`. The default is false.',
  },
  name: { description: 'The name to show to people. The default is that of the source.' },
  etag: {
    description: 'The ETag of the source. If it has another one, the error is `file_replaced`.',
    examples: ['"9dd4e461268c8034f5c8564e155c67a6"'],
  },
  files: { description: 'What a body for one file has, without `bucket` and `toBucket`.' },
}

const COPY_ANSWERS: Operation['answers'] = {
  200: { description: 'A record or an error for each of `files`.', body: copiedFiles },
  201: {
    description: 'The record of the target.',
    body: recordedFile,
    headers: { Location: 'Path of the record, with its `bucket`.' },
  },
}

export const fileOperations: Operations = {
  'POST /files/upload-url': {
    id: 'createUploadUrl',
    tag: 'files',
    summary: 'Sign a PUT for a new key',
    description:
      'Creates a key and signs a PUT for it. The body has either `fileName` or `key`. The Worker sends no request to the bucket, except for a chosen `key`: unless the bucket refuses the PUT itself, or `overwrite` is true, it checks whether there is an object.',
    scopes: ['files:upload'],
    members: {
      key: CHOSEN_KEY,
      size: {
        description:
          'Bytes, signed as `Content-Length`. Required if the bucket has `maxBytes`, which may be less than 5 GiB.',
        maximum: MAX_PUT_BYTES,
      },
      overwrite: {
        description:
          '`false` makes the bucket refuse to replace an object. The default is true for a new key, and false for a chosen one, where true needs the scope `files:delete`.',
      },
      expiresIn: UPLOAD_SECONDS,
    },
    answers: { 200: { description: 'Where to PUT the file, and how.', body: uploadUrl } },
    errors: [
      'invalid_name',
      'invalid_mimetype',
      'mimetype_not_allowed',
      'type_mismatch',
      'size_required',
      'file_too_large',
      'invalid_key',
      'invalid_expiry',
      'object_exists',
      'precondition_failed',
      'not_supported',
      'storage_error',
      'unavailable',
      'unknown_bucket',
      ...IN_DROP_BOX,
    ],
  },
  'POST /files/upload-urls': {
    id: 'createUploadUrls',
    tag: 'files',
    summary: 'Sign PUTs for up to 100 new keys',
    description:
      'Does for each file what `POST /files/upload-url` does. A file that is refused gets an error, and the other files still get their URLs.',
    scopes: ['files:upload'],
    members: {
      files: {
        description: 'What `POST /files/upload-url` takes, without `expiresIn` and `bucket`.',
      },
      expiresIn: UPLOAD_SECONDS,
    },
    answers: { 200: { description: 'A URL or an error for each file.', body: uploadUrls } },
    errors: [...IN_DROP_BOX, 'invalid_expiry', 'unavailable', 'unknown_bucket'],
  },
  'POST /files/copy': {
    id: 'copyFiles',
    tag: 'files',
    summary: 'Copy up to 100 objects',
    description:
      "Also needs `files:upload` and `keys:choose` for the target. The bucket's server copies each object, with its type and metadata, and the Worker records the copy for the caller. An object above 5 GB is `file_too_large`. While another copy or move uses one of the keys, the response is `unavailable`. A list has a result for each file. If a call has no requests left for a file, that file gets `unavailable`: send it again. Each one counts against the rate limit.",
    scopes: ['files:read'],
    members: COPY_MEMBERS,
    answers: COPY_ANSWERS,
    errors: COPY_ERRORS,
  },
  'POST /files/move': {
    id: 'moveFiles',
    tag: 'files',
    summary: 'Move up to 100 objects',
    description:
      'Also needs `files:upload`, `keys:choose` and `files:delete`, and an index that can lock keys: otherwise, the response is `not_supported`. Copies like `POST /files/copy`, records the target with the owner of the source, and then deletes the source like `DELETE /files/:key`: only after the bucket has shown the copy. If a move fails, the source is there, alone or with the target, and the same request finishes the move. Safe to repeat.',
    scopes: ['files:read'],
    members: COPY_MEMBERS,
    answers: COPY_ANSWERS,
    errors: [...COPY_ERRORS, 'unavailable'],
  },
  'POST /files/delete': {
    id: 'deleteFiles',
    tag: 'files',
    summary: 'Delete up to 100 objects and their records',
    description:
      'Does for each key what `DELETE /files/:key` does, with one request to the bucket if its server supports DeleteObjects, and one purge of the edge cache. Each key that is deleted counts against the rate limit; those beyond it get `rate_limited`. With `deleted`, an error is about what is left of a deleted object, such as its record. Safe to repeat. A file with an `etag` needs its own requests: if a call has none left for it, it gets `unavailable`, and you send it again.',
    scopes: ['files:delete'],
    members: {
      keys: { description: 'Keys of objects to delete, whatever their ETag is.' },
      files: {
        description:
          'Objects to delete only if they have the `etag`. `keys` and `files` have 1 to 100 items together.',
      },
    },
    answers: {
      200: { description: 'Each key, with an error if it is not deleted.', body: deletedFiles },
    },
    errors: ['unknown_bucket'],
  },
  'POST /files/delete-all': {
    id: 'deleteAll',
    tag: 'files',
    summary: 'Delete everything below a prefix',
    description:
      'Deletes up to 100 files a call: objects, records without an object, older versions, delete markers and unfinished uploads that are older than `before`. Repeat it with the `cursor` until there is none. Safe to repeat, even without the cursor.',
    scopes: ['files:delete-all'],
    members: {
      prefix: {
        description: "Start of the keys. Must start with the caller's prefix, and end with `/`.",
        pattern: '/$',
        examples: ['users/alice/'],
      },
      before: {
        description: 'Only what is older, ISO 8601 in UTC. At most 10 minutes in the future.',
      },
      dryRun: {
        description: '`true` deletes nothing, asks no app, and counts what would be deleted now.',
      },
      cursor: {
        description:
          '`cursor` of the previous call, with the same bucket, prefix, date and `dryRun`.',
      },
    },
    answers: { 200: { description: 'What this call has deleted.', body: erasure } },
    errors: [
      'invalid_key',
      'invalid_cursor',
      'unavailable',
      'not_supported',
      'storage_error',
      'unknown_bucket',
    ],
  },
  'GET /export': {
    id: 'exportFiles',
    tag: 'files',
    summary: 'Export all records below a prefix',
    description:
      'Streams records page by page. The last line of NDJSON is `{"records": 48213}`. If the index fails in the middle, the stream breaks off. With `format=csv`, the response is `text/csv`.',
    scopes: ['files:list'],
    members: {
      prefix: {
        description:
          "Start of the keys. Must start with the caller's prefix, which is the default.",
      },
      format: { description: 'CSV is for spreadsheets.' },
    },
    answers: {
      200: { description: 'The records, as an attachment.', body: 'application/x-ndjson' },
    },
    errors: ['invalid_key', 'unavailable', 'not_supported', 'unknown_bucket'],
  },
  'PATCH /files/:key': {
    id: 'renameFile',
    tag: 'files',
    summary: 'Rename a file in the index',
    description:
      "Changes only the name in the record. The key and the object stay the same. Safe to repeat. Another owner's file also needs `files:delete`.",
    scopes: ['files:upload'],
    answers: { 200: { description: 'The record.', body: fileRecord } },
    errors: [
      'object_not_found',
      'file_replaced',
      'invalid_name',
      'invalid_key',
      'unavailable',
      ...STORAGE,
    ],
  },
  'GET /files/:key/url': {
    id: 'getFileUrl',
    tag: 'files',
    summary: 'Sign a GET',
    description:
      'Does not check that the object exists: the Worker sends no request to the bucket or to KV. Browsers download an object whose extension can run script, unless `inline` is true.',
    scopes: ['files:read'],
    members: {
      expiresIn: DOWNLOAD_SECONDS,
      download: { description: 'The browser saves the object under this name.' },
      inline: { description: 'Also show files that could run script.' },
      versionId: {
        description: 'A version of the object, from a bucket with versioning. It is signed.',
        examples: ['3GlRcP.vGmehMeQIwtrnUxOZMSuN92u'],
      },
      stable: {
        description:
          'The same URL for every caller within a window as long as `expiresIn`. The maximum is then half as long.',
      },
    },
    answers: { 200: { description: 'The URL and its lifetime.', body: fileUrl } },
    errors: ['invalid_key', 'invalid_expiry', 'unavailable', 'unknown_bucket'],
  },
  'POST /files/urls': {
    id: 'getFileUrls',
    tag: 'files',
    summary: 'Sign up to 1000 GETs',
    description:
      'The Worker sends no request to the bucket or to KV. If a key is `invalid_key` or `forbidden`, the other keys still get their URLs.',
    scopes: ['files:read'],
    members: { expiresIn: DOWNLOAD_SECONDS },
    answers: { 200: { description: 'A URL or an error for each key.', body: fileUrls } },
    errors: ['invalid_expiry', 'unavailable', 'unknown_bucket'],
  },
  'POST /files': {
    id: 'recordFile',
    tag: 'files',
    summary: 'Record an uploaded object',
    description:
      'Asks the bucket for the object, and records its size, type and ETag. Repeating the request changes nothing while the object has the same ETag and date. A key that the Worker did not make also needs `keys:choose`. With `files:read` and `files:record`, it can be any key, even of a file that another owner has recorded.',
    scopes: ['files:upload'],
    members: {
      etag: {
        description:
          'The ETag from the response to the PUT, with or without its quotes. If the object has another one, the error is `file_replaced`.',
        examples: ['"9dd4e461268c8034f5c8564e155c67a6"'],
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
      ...IN_DROP_BOX,
      'object_not_found',
      'file_replaced',
      'file_too_large',
      'mimetype_not_allowed',
      'invalid_name',
      'invalid_key',
      'key_not_indexable',
      'unavailable',
      ...STORAGE,
    ],
  },
  'POST /files/batch': {
    id: 'recordFiles',
    tag: 'files',
    summary: 'Record up to 20 uploaded objects',
    description:
      'Does for each file what `POST /files` does. Each one counts against the rate limit; those beyond it get `rate_limited`. A file that is refused gets an error, and the other files are still recorded. Safe to repeat.',
    scopes: ['files:upload'],
    members: {
      files: { description: 'What `POST /files` takes, without `bucket`.' },
    },
    answers: { 200: { description: 'A record or an error for each file.', body: recordedFiles } },
    errors: [...IN_DROP_BOX, 'unknown_bucket'],
  },
  'GET /files': {
    id: 'listFiles',
    tag: 'files',
    summary: 'List records',
    description:
      'Lists records, not the bucket, in the byte order of the keys: newest first within one directory and one prefix, for keys that this Worker made. A page with a `cursor` may be short or empty. Search, order, filters and folders need an index in D1; without one, they are `not_supported`.',
    scopes: ['files:list'],
    members: {
      prefix: {
        description:
          "Start of the keys. Must start with the caller's prefix, which is the default.",
      },
      limit: { description: 'Records on a page.' },
      cursor: {
        description:
          '`cursor` of the previous page, with the same bucket, prefix, order and filters.',
      },
      q: {
        description:
          'Words of the name or their beginnings, in any order, at most 10. Case and accents are ignored.',
        examples: ['invoice march'],
      },
      sort: { description: 'The order. `-` is descending. The default is that of the keys.' },
      type: { description: 'A media type, or `image/*`.', examples: ['image/*'] },
      owner: { description: 'Id of the principal who recorded the file.' },
      createdAfter: { description: 'Files created at this time or later, ISO 8601 in UTC.' },
      createdBefore: { description: 'Files created before this time, ISO 8601 in UTC.' },
      minSize: { description: 'Bytes.' },
      maxSize: { description: 'Bytes.' },
      delimiter: {
        description:
          'Only files directly below the prefix, and the folders there. Not with `q` or a filter.',
      },
      urls: {
        description: 'Adds a `url` for this use to each record. Also needs the scope `files:read`.',
      },
    },
    answers: { 200: { description: 'A page of records.', body: filePage } },
    errors: ['invalid_cursor', 'invalid_key', 'unavailable', 'not_supported', 'unknown_bucket'],
  },
  'GET /stats': {
    id: 'getStats',
    tag: 'files',
    summary: 'Count files and bytes',
    description: 'Counts what the index has below a prefix. Needs an index in D1.',
    scopes: ['files:list'],
    members: {
      prefix: {
        description:
          "Start of the keys. Must start with the caller's prefix, which is the default.",
      },
      groupBy: { description: 'Adds totals for each of these, at most 1000.' },
    },
    answers: { 200: { description: 'The totals.', body: stats } },
    errors: ['invalid_key', 'unavailable', 'not_supported', 'unknown_bucket'],
  },
  'GET /files/:key': {
    id: 'getFile',
    tag: 'files',
    summary: 'Get one record',
    description:
      'If the index has no record, the Worker asks the bucket. `owner` is then null, and nothing is recorded.',
    scopes: ['files:read'],
    answers: { 200: { description: 'The record.', body: fileRecord } },
    errors: ['object_not_found', 'invalid_key', 'unavailable', ...STORAGE],
  },
  'DELETE /files/:key': {
    id: 'deleteFile',
    tag: 'files',
    summary: 'Delete an object and its record',
    description:
      'Deletes the object, then its edge copy, then sends the event, then removes the record. Safe to repeat with its `etag`.',
    scopes: ['files:delete'],
    members: {
      etag: {
        description:
          'Deletes only an object with this ETag. If it has another one, the error is `precondition_failed`.',
        examples: ['"9dd4e461268c8034f5c8564e155c67a6"'],
      },
    },
    answers: { 204: { description: 'Deleted, or the object did not exist.' } },
    errors: ['invalid_key', 'precondition_failed', 'unavailable', ...STORAGE],
  },
}
