import {
  MAX_LINK_SECONDS,
  MAX_SIGNATURE_SECONDS,
  MAX_UPLOAD_SECONDS,
} from '../../src/bucket/limits.ts'
import { MAX_OBJECT_KEY_BYTES } from '../../src/keys/object-key.ts'
import type { Member, Members } from './operation.ts'

/** Members of bodies and queries that have the same meaning everywhere. */
export const COMMON_MEMBERS: Members = {
  bucket: {
    description: 'Alias of a bucket in the configuration. The default is the first bucket.',
  },
  cacheControl: {
    description:
      'The `Cache-Control` header that the bucket sends with the object: printable ASCII.',
    minLength: 1,
    examples: ['public, max-age=31536000, immutable'],
  },
  delivery: {
    description:
      '`stream` sends the bytes through the Worker and its edge cache. `redirect` redirects to the bucket.',
  },
  directory: {
    description: 'Folder of the key below `uploads/`: segments, separated by `/`.',
    examples: ['2026/november'],
  },
  fileName: {
    description: 'Name of the file. The Worker removes a path before it.',
    examples: ['My Photo.JPG'],
  },
  key: { description: 'The object key.', minLength: 1, maxLength: MAX_OBJECT_KEY_BYTES },
  keys: { description: 'Object keys.' },
  metadata: {
    description:
      "S3's user-defined metadata. Names consist of `a-z`, `0-9` and `-`. All headers together have at most 2048 bytes.",
  },
  mimetype: {
    description: '`type/subtype`, with optional parameters.',
    minLength: 3,
    maxLength: 255,
    examples: ['image/jpeg'],
  },
  name: { description: 'The name to show to users.', examples: ['My Photo.JPG'] },
  sha256: { description: 'SHA-256 of the file in base64. The bucket checks it.' },
  use: { description: 'The purpose of the URL, which determines its default lifetime.' },
}

/** `expiresIn` of an upload URL. */
export const UPLOAD_SECONDS: Member = {
  description:
    'Lifetime of the URL in seconds. The default is 300. The bucket can have another default and a lower maximum.',
  minimum: 1,
  maximum: MAX_UPLOAD_SECONDS,
}

/** `expiresIn` of a URL to show an object. */
export const DOWNLOAD_SECONDS: Member = {
  description:
    'Lifetime of the URL in seconds. The default is 900 for `view`, 7200 for `stream` and 172800 for `email`. The bucket can have other defaults and a lower maximum.',
  minimum: 1,
  maximum: MAX_SIGNATURE_SECONDS,
}

/** `expiresIn` of a link. */
export const LINK_SECONDS: Member = {
  description:
    'Seconds. A link is valid for one to two times as long. The default is 86400 (a day). The bucket can have another default and a lower maximum.',
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
  partNumber: { description: 'Number of the part.', type: 'integer', minimum: 1, maximum: 10_000 },
  uploadId: { description: 'From the response that started the upload.', type: 'string' },
}
