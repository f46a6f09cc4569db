import * as z from 'zod/mini'
import { MAX_OBJECT_BYTES } from '../../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import { fileName, partNumber } from '../../../../src/http/fields.ts'
import { completeBody, startBody } from '../../../../src/plugins/uppy/bodies.ts'
import {
  nothing,
  signedRequest,
  uppyForm,
  uppyLocation,
  uppyPartList,
  uppyPartUrl,
  uppyPartUrls,
  uppyStartedUpload,
} from '../answers.ts'
import { UPLOAD_SECONDS } from '../members.ts'
import type { Members, Operations } from '../operation.ts'

// src/plugins/uppy/bodies.ts reads these queries by hand, as Companion does, so they are repeated here.

const formQuery = z.object({
  filename: fileName,
  type: z.optional(z.string()),
  metadata: z.optional(z.record(z.string(), z.string())),
  objectKey: z.optional(z.string()),
  overwrite: z.optional(z.boolean()),
})

const keyQuery = z.object({ key: z.string() })

const batchQuery = z.object({
  key: z.string(),
  partNumbers: z.array(partNumber()).check(z.minLength(1), z.maxLength(100)),
})

/** For operations that start an upload. */
const START: readonly ErrorCode[] = [
  'invalid_name',
  'mimetype_not_allowed',
  'type_mismatch',
  'invalid_key',
  'object_exists',
  'not_supported',
  'unavailable',
]

/** For every step of a started upload. */
const STEP: readonly ErrorCode[] = ['invalid_key', 'invalid_upload_id', 'unavailable']

/** For every step that sends a request to the bucket. */
const AT_BUCKET: readonly ErrorCode[] = [...STEP, 'not_supported', 'storage_error', 'unavailable']

const OVERWRITE = {
  description:
    'Whether the upload may replace an object under `objectKey`, which needs the scope `files:delete`.',
}

const FILE_MEMBERS: Members = {
  filename: { description: 'Name of the file.', examples: ['My Photo.JPG'] },
  type: {
    description: '`type/subtype`; anything else counts as `application/octet-stream`.',
    examples: ['image/jpeg'],
  },
  metadata: {
    description:
      'Names of 1 to 64 characters of `a-z`, `0-9`, `.`, `-` and `_`. Members with other names are omitted. A value that is not text is stored as JSON.',
  },
  overwrite: OVERWRITE,
}

const UPLOAD_MEMBERS: Members = {
  key: { description: 'The object key, from the response to the start.' },
}

const OF_PART =
  'If the bucket or the token has `maxBytes`, the Worker signs as many parts as such a file has at 5 MiB each.'

const OF_SIGN = 'The URL of `POST /s3/sign` is the credential. Errors are XML, as S3 writes them.'

const stepQuery = z.object({ step: z.string() })

const STEP_MEMBERS: Members = { step: { description: 'What the URL allows, signed.' } }

const STEP_ERRORS: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'invalid_key',
  'rate_limited',
  'storage_error',
  'unavailable',
  'unknown_bucket',
]

export const uppyOperations: Operations = {
  'GET /s3/params': {
    id: 'getUppyForm',
    tag: 'uppy',
    summary: 'Sign a form for a new key',
    description:
      "S3's POST policy, or a form for `POST /s3/form` if the bucket's server accepts no POST policies, such as R2 and B2. It takes one file of at most `maxBytes`, or 5 GiB.",
    scopes: ['files:upload'],
    query: formQuery,
    members: FILE_MEMBERS,
    answers: { 200: { description: 'The form.', body: uppyForm } },
    errors: [...START, 'storage_error', 'unavailable'],
  },
  'POST /s3/form': {
    id: 'uploadUppyForm',
    tag: 'uppy',
    summary: 'Upload a file with a form',
    description:
      'Accepts the fields of `GET /s3/params` and then the `file` as multipart/form-data of at most 100 MB. Stores the file and records it for the principal that requested the form. The `policy` field is the credential: for one key, type, metadata and maximum size.',
    answers: {
      201: {
        description: 'S3’s PostResponse.',
        body: 'application/xml',
        headers: { ETag: 'The ETag of the object.', Location: 'The URL of the object.' },
      },
    },
    errors: [
      'invalid_key',
      'storage_error',
      'unavailable',
      'unknown_bucket',
      'invalid_request',
      'unauthenticated',
      'forbidden',
      'body_too_large',
      'file_too_large',
      'key_not_indexable',
      'object_exists',
      'file_replaced',
      'object_not_found',
      'not_supported',
      'rate_limited',
      'size_required',
      'unsupported_media_type',
    ],
  },
  'POST /s3/multipart': {
    id: 'startUppyMultipart',
    tag: 'uppy',
    summary: 'Start an upload in parts',
    scopes: ['files:upload'],
    body: startBody,
    members: FILE_MEMBERS,
    answers: { 200: { description: 'The upload.', body: uppyStartedUpload } },
    errors: [...START, 'storage_error', 'unavailable'],
  },
  'GET /s3/multipart/:uploadId': {
    id: 'listUppyParts',
    tag: 'uppy',
    summary: 'List the parts that the bucket has',
    scopes: ['files:upload'],
    query: keyQuery,
    members: UPLOAD_MEMBERS,
    answers: { 200: { description: 'All parts.', body: uppyPartList } },
    errors: [...AT_BUCKET, 'upload_not_found'],
  },
  'GET /s3/multipart/:uploadId/batch': {
    id: 'signUppyParts',
    tag: 'uppy',
    summary: 'Sign PUTs for parts',
    description: OF_PART,
    scopes: ['files:upload'],
    query: batchQuery,
    members: { ...UPLOAD_MEMBERS, partNumbers: { description: 'The numbers of the parts.' } },
    answers: { 200: { description: 'A URL for each part.', body: uppyPartUrls } },
    errors: [...STEP, 'invalid_part', 'size_required', 'file_too_large'],
  },
  'GET /s3/multipart/:uploadId/:partNumber': {
    id: 'signUppyPart',
    tag: 'uppy',
    summary: 'Sign a PUT for a part',
    description: OF_PART,
    scopes: ['files:upload'],
    query: keyQuery,
    members: UPLOAD_MEMBERS,
    answers: { 200: { description: 'A URL for the part.', body: uppyPartUrl } },
    errors: [...STEP, 'invalid_part', 'size_required', 'file_too_large'],
  },
  'POST /s3/multipart/:uploadId/complete': {
    id: 'completeUppyMultipart',
    tag: 'uppy',
    summary: 'Complete an upload in parts',
    description: 'Joins the parts into one object, and records the file. Safe to repeat.',
    scopes: ['files:upload'],
    query: keyQuery,
    body: completeBody,
    members: {
      ...UPLOAD_MEMBERS,
      parts: {
        description: 'All parts, by ascending number. An ETag may be with or without its quotes.',
      },
    },
    answers: { 200: { description: 'The object.', body: uppyLocation } },
    errors: [
      ...AT_BUCKET,
      'object_exists',
      'file_replaced',
      'upload_not_found',
      'invalid_part',
      'size_mismatch',
      'file_too_large',
      'object_not_found',
      'key_not_indexable',
      'unavailable',
    ],
  },
  'DELETE /s3/multipart/:uploadId': {
    id: 'abortUppyMultipart',
    tag: 'uppy',
    summary: 'Cancel an upload and delete its parts',
    scopes: ['files:upload'],
    query: keyQuery,
    members: UPLOAD_MEMBERS,
    answers: { 200: { description: 'Canceled, or the upload did not exist.', body: nothing } },
    errors: AT_BUCKET,
  },
  'GET /s3/sts': {
    id: 'getUppyCredentials',
    tag: 'uppy',
    summary: 'Always refused: there are no temporary credentials',
    scopes: [],
    answers: {},
    errors: ['not_supported'],
  },
  'POST /s3/sign': {
    id: 'signUppyRequest',
    tag: 'uppy',
    summary: 'Sign one S3 request',
    description: [
      'For `signRequest` of `@uppy/aws-s3` 6, which speaks S3 itself. Without `uploadId`, `PUT` (PutObject) and `POST` (`/s3/uploads`) begin an upload, whose key is made by the server. With it, `PUT` is UploadPart, `GET` ListParts, `POST` `/s3/uploads/complete` and `DELETE` AbortMultipartUpload. Nothing else is signed.',
      'Members that Uppy does not know come from the client of this project. Others are ignored.',
    ].join('\n\n'),
    scopes: ['files:upload'],
    members: {
      method: { description: 'Method of the S3 request.' },
      key: {
        description:
          'With `uploadId`, the object key from an earlier response; without it, the name of the file.',
      },
      uploadId: { description: 'The `UploadId` that `POST /s3/uploads` gave.' },
      partNumber: { description: 'Required for UploadPart.' },
      contentType: { description: 'Type of the object where an upload begins.' },
      expiresIn: UPLOAD_SECONDS,
      fileName: { description: 'Name of the file, instead of `key`.' },
      overwrite: OVERWRITE,
      size: {
        description:
          'Bytes, of the file or of a part: signed as `Content-Length` of PutObject and UploadPart, checked when an upload in parts is complete. Required for PutObject where the bucket has `maxBytes`.',
        maximum: MAX_OBJECT_BYTES,
      },
      sha256: { description: 'SHA-256 of the file in base64, for PutObject.' },
    },
    answers: { 200: { description: 'The signed request.', body: signedRequest } },
    errors: [
      'object_exists',
      'invalid_name',
      'invalid_mimetype',
      'mimetype_not_allowed',
      'type_mismatch',
      'size_required',
      'file_too_large',
      'invalid_key',
      'invalid_expiry',
      'invalid_upload_id',
      'invalid_part',
      'unavailable',
      'unknown_bucket',
    ],
  },
  'POST /s3/uploads': {
    id: 'beginUppyUpload',
    tag: 'uppy',
    summary: 'Begin an upload in parts',
    description: `CreateMultipartUpload. ${OF_SIGN} It is valid for five minutes at most. Each use starts another upload under the same key.`,
    query: stepQuery,
    members: STEP_MEMBERS,
    answers: {
      200: { description: 'S3’s InitiateMultipartUploadResult.', body: 'application/xml' },
    },
    errors: [...STEP_ERRORS, 'object_exists', 'not_supported'],
  },
  'POST /s3/uploads/complete': {
    id: 'completeUppyUpload',
    tag: 'uppy',
    summary: 'Complete an upload in parts',
    description: `CompleteMultipartUpload, with its XML as the body. Records the file. Safe to repeat. ${OF_SIGN}`,
    query: stepQuery,
    members: STEP_MEMBERS,
    answers: {
      200: { description: 'S3’s CompleteMultipartUploadResult.', body: 'application/xml' },
    },
    errors: [
      'object_exists',
      'file_replaced',
      ...STEP_ERRORS,
      'not_supported',
      'body_too_large',
      'invalid_part',
      'size_mismatch',
      'file_too_large',
      'invalid_upload_id',
      'upload_not_found',
      'key_not_indexable',
      'object_not_found',
      'unavailable',
    ],
  },
}
