import {
  MAX_LINK_SECONDS,
  MAX_SIGNATURE_SECONDS,
  MAX_UPLOAD_SECONDS,
} from '../../../src/bucket/limits.ts'
import type { ErrorCode } from '../../../src/errors/api-error.ts'
import { MAX_OBJECT_KEY_BYTES } from '../../../src/keys/object-key.ts'
import type { Member, Members } from './operation.ts'

/** With the token of a drop box's page. */
export const IN_DROP_BOX: readonly ErrorCode[] = ['drop_box_closed', 'drop_box_full', 'unavailable']

/** Members of bodies and queries with the same meaning everywhere. */
export const COMMON_MEMBERS: Members = {
  bucket: {
    description:
      'Alias of a bucket in the configuration. The default is the first one that the caller may use.',
  },
  cacheControl: {
    description: 'The `Cache-Control` that the bucket sends with the object: printable ASCII.',
    minLength: 1,
    examples: ['public, max-age=31536000, immutable'],
  },
  objectKey: {
    description:
      'The key to use instead of a generated one. Needs the scope `keys:choose`. `filename` or `key` is then only the name of the file.',
    maxLength: MAX_OBJECT_KEY_BYTES,
  },
  contentDisposition: {
    description:
      'The `Content-Disposition` that the bucket sends with the object (RFC 6266): printable ASCII. Links decide it themselves.',
    minLength: 1,
    examples: ['attachment; filename="report.pdf"'],
  },
  contentEncoding: {
    description: 'The codings of a file that the client has compressed. Not `aws-chunked`.',
    minLength: 1,
    examples: ['gzip'],
  },
  delivery: {
    description:
      '`stream`: the Worker and its edge cache deliver the bytes; `redirect`: the Worker redirects to the bucket.',
  },
  directory: {
    description: 'Folder of the key below `uploads/`: segments with `/` between.',
    examples: ['2026/november'],
  },
  fileName: {
    description: 'Name of the file. A path before it is removed.',
    examples: ['My Photo.JPG'],
  },
  ifMatch: {
    description:
      'Replaces only an object with this ETag, with or without its quotes. Needs an upload with `overwrite: true`.',
    examples: ['"9dd4e461268c8034f5c8564e155c67a6"'],
  },
  key: { description: 'The object key.', minLength: 1, maxLength: MAX_OBJECT_KEY_BYTES },
  keys: { description: 'Object keys.' },
  metadata: {
    description:
      "S3's user-defined metadata: names of `a-z`, `0-9` and `-`, together at most 2048 bytes as sent.",
  },
  mimetype: {
    description: '`type/subtype`, with parameters if any.',
    minLength: 3,
    maxLength: 255,
    examples: ['image/jpeg'],
  },
  name: { description: 'The name to show to people.', examples: ['My Photo.JPG'] },
  sha256: { description: 'SHA-256 of the file in base64, for the bucket to check.' },
  use: { description: 'What the URL is for. It determines the default lifetime.' },
}

/** `key` where an upload begins. */
export const CHOSEN_KEY: Member = {
  description:
    'The key to use instead of a generated one. Needs the scope `keys:choose`, and no `fileName` or `directory` next to it.',
  minLength: 1,
  maxLength: MAX_OBJECT_KEY_BYTES,
}

/** `expiresIn` of an upload URL. */
export const UPLOAD_SECONDS: Member = {
  description:
    'Seconds that the URL is valid. The default is 300. The bucket may have another default and a lower maximum.',
  minimum: 1,
  maximum: MAX_UPLOAD_SECONDS,
}

/** `expiresIn` of a URL to show an object. */
export const DOWNLOAD_SECONDS: Member = {
  description:
    'Seconds that the URL is valid. The default is 900 for `view`, 7200 for `stream`, and 172800 for `email`. The bucket may have other defaults and a lower maximum.',
  minimum: 1,
  maximum: MAX_SIGNATURE_SECONDS,
}

/** `expiresIn` of a link. */
export const LINK_SECONDS: Member = {
  description:
    'Seconds. A link is valid for one to two times as long. The default is 86400 (a day). The bucket may have another default and a lower maximum.',
  minimum: 1,
  maximum: MAX_LINK_SECONDS / 2,
}

/** Parameters in a path. */
export const PATH_PARAMETERS: Members = {
  bucket: { description: 'Alias of the bucket.', type: 'string' },
  key: {
    description:
      'The object key, percent-encoded as one segment: `encodeURIComponent(key)` in JavaScript.',
    type: 'string',
    minLength: 1,
    maxLength: MAX_OBJECT_KEY_BYTES,
  },
  token: { description: 'From the `base` of the folder link.', type: 'string' },
  id: { description: 'The `id` in the response that created it.', type: 'string' },
  secret: { description: 'From the `url` in the response that created it.', type: 'string' },
  partNumber: { description: 'Number of the part.', type: 'integer', minimum: 1, maximum: 10_000 },
  uploadId: { description: 'From the response to the start of the upload.', type: 'string' },
}
