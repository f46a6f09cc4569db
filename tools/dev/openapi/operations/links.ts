import * as z from 'zod/mini'
import { LINK_FORMATS } from '../../../../src/access/link-signature.ts'
import { MAX_OBJECT_KEY_BYTES } from '../../../../src/keys/object-key.ts'
import { folderLink, link, links, purgedCopies } from '../answers.ts'
import { LINK_SECONDS } from '../members.ts'
import type { Answer, Members, Operations } from '../operation.ts'

const linkQuery = z.strictObject({
  exp: z.int().check(z.minimum(0)),
  mode: z.optional(z.literal('redirect')),
  dl: z.optional(z.string()),
  w: z.optional(z.int().check(z.minimum(1))),
  fmt: z.optional(z.enum(LINK_FORMATS)),
  fallback: z.optional(z.literal('original')),
  nbf: z.optional(z.int().check(z.minimum(0))),
  ips: z.optional(z.string()),
  countries: z.optional(z.string()),
  notCountries: z.optional(z.string()),
  kid: z.string(),
  sig: z.string(),
})

const VALIDATORS = {
  ETag: 'As the bucket reports it.',
  'Last-Modified': 'As the bucket reports it.',
}

const IMAGE: Members = {
  width: {
    description:
      'Shows an image in this width, one of `IMAGE_WIDTHS`. Default: the original, which also needs `files:read`.',
    minimum: 1,
  },
  widths: {
    description: 'Instead of `width`: returns `srcset` with these widths.',
  },
  format: {
    description:
      'The format of a resized image. `auto` is the best one that the client accepts. The default is `auto`.',
    examples: ['webp'],
  },
  fallback: {
    description:
      "`original`: shows the original if the image can't be resized. Also needs `files:read`.",
    examples: ['original'],
  },
}

const RESTRICTIONS: Members = {
  notBefore: {
    description:
      'When the link starts to work: ISO 8601 in UTC. It then expires exactly `expiresIn` after this date.',
    format: 'date-time',
    examples: ['2026-12-24T18:00:00Z'],
  },
  ips: {
    description:
      'IP addresses and ranges in CIDR notation, IPv4 and IPv6, of the clients that may open the link.',
    examples: [['192.0.2.0/24', '2001:db8::/32']],
  },
  countries: {
    description:
      'Countries whose clients may open the link, in ISO 3166 alpha-2 and as Cloudflare reports them.',
    examples: [['DE']],
  },
  notCountries: {
    description: 'Instead of `countries`: countries whose clients may not open the link.',
    examples: [['DE']],
  },
}

const OF_OBJECT = {
  ...VALIDATORS,
  'Accept-Ranges': 'As the bucket reports it.',
  'Cache-Control':
    "Private, and never longer than the link's lifetime. `no-store` for a link with restrictions.",
  'Cache-Status': 'Whether the edge had a copy (RFC 9211).',
}

/** Headers of a request for the object of a link. */
const CONDITIONS = {
  Range:
    'One range of bytes. If there are several ranges, another unit or a malformed value, the response is the whole object.',
  'If-Range': 'A strong ETag or a date. If it does not match, the response is the whole object.',
  'If-Match': 'ETags, one of which the object must have.',
  'If-Unmodified-Since': 'A date.',
  'If-None-Match': "ETags of the client's copies.",
  'If-Modified-Since': "The date of the client's copy.",
}

/** Responses with the object of a link, or without it. */
const OF_LINK: Readonly<Record<number, Answer>> = {
  200: { description: 'The whole object.', body: '*/*', headers: OF_OBJECT },
  206: {
    description: 'The part that `Range` asks for.',
    body: '*/*',
    headers: { ...OF_OBJECT, 'Content-Range': 'The part, and the size of the object.' },
  },
  308: {
    description: 'A redirect to the host of LINK_ORIGIN, if the request came to another host.',
    headers: { Location: 'The same link on LINK_ORIGIN.' },
  },
  304: { description: "The client's copy is current.", headers: VALIDATORS },
  412: { description: '`If-Match` or `If-Unmodified-Since` fails.', headers: VALIDATORS },
  416: {
    description: '`Range` starts after the end of the object.',
    headers: { 'Content-Range': 'The size of the object, if the bucket sends it.' },
  },
}

export const linkOperations: Operations = {
  'POST /files/:key/link': {
    id: 'createLink',
    tag: 'links',
    summary: 'Create a link for `<img>`',
    description:
      'The link works in `<img src>`, `<video src>`, `<a href>` and email. Does not check that the object exists. The same request within a window of `expiresIn` seconds returns the same link.',
    scopes: ['links:create'],
    members: {
      expiresIn: LINK_SECONDS,
      download: { description: 'The browser saves the object under this name.' },
      ...IMAGE,
      ...RESTRICTIONS,
    },
    answers: { 200: { description: 'The link.', body: link } },
    errors: ['invalid_key', 'invalid_expiry', 'unknown_bucket'],
  },
  'POST /links': {
    id: 'createLinks',
    tag: 'links',
    summary: 'Create up to 1000 links',
    description: 'If a key is `invalid_key` or `forbidden`, the other keys still get their links.',
    scopes: ['links:create'],
    members: { expiresIn: LINK_SECONDS, ...IMAGE, ...RESTRICTIONS },
    answers: { 200: { description: 'A link or an error for each key.', body: links } },
    errors: ['invalid_expiry', 'unknown_bucket'],
  },
  'POST /links/folder': {
    id: 'createFolderLink',
    tag: 'links',
    summary: 'Create a link to a folder',
    description:
      'Returns the start of the URLs of all files below a prefix, for players and galleries with relative addresses. Also needs `files:read`. Does not check that there are objects. The same request within a window of `expiresIn` seconds returns the same `base`.',
    scopes: ['links:create'],
    members: {
      prefix: {
        description: 'Start of the keys. Ends with `/`.',
        minLength: 2,
        maxLength: MAX_OBJECT_KEY_BYTES,
        examples: ['videos/intro/'],
      },
      expiresIn: LINK_SECONDS,
      ...RESTRICTIONS,
    },
    answers: { 200: { description: 'The folder link.', body: folderLink } },
    errors: ['invalid_key', 'invalid_expiry', 'unknown_bucket'],
  },
  'POST /files/purge': {
    id: 'purgeCopies',
    tag: 'links',
    summary: 'Purge edge copies of up to 100 objects',
    description:
      "Removes the edge copies of the objects and of their resized images, so that the next request for a link reads the bucket. Deletes nothing, and doesn't check that the objects exist. Browsers keep their own copies. Safe to repeat.",
    scopes: ['files:purge'],
    answers: {
      200: { description: 'Each key, with an error if it is refused.', body: purgedCopies },
    },
    errors: ['unavailable', 'not_supported', 'unknown_bucket'],
  },
  'GET /i/:bucket/:key': {
    id: 'openLink',
    tag: 'links',
    summary: 'Open a link',
    description:
      'The link is the credential. It has only one valid spelling: do not add, remove, encode or reorder anything. Use links as the Worker returns them, and do not build them from these parameters.',
    query: linkQuery,
    members: {
      exp: { description: 'When the link expires, in seconds since 1970.' },
      mode: { description: 'Present in a link that redirects.' },
      dl: { description: 'Name to save the object under.' },
      w: { description: 'Width of a resized image.' },
      fmt: { description: 'Its format.', examples: ['auto'] },
      fallback: { description: 'Present in a link that may show the original in its place.' },
      nbf: { description: 'When the link starts to work, in seconds since 1970.' },
      ips: { description: 'Addresses and ranges that may open it, with `,` between.' },
      countries: { description: 'Countries that may open it, with `,` between.' },
      notCountries: { description: 'Countries that may not open it, with `,` between.' },
      kid: { description: 'The name of the secret that signed the link.' },
      sig: { description: 'The signature.' },
    },
    headers: {
      Accept: 'Types of images that the client can read, for a link with `fmt=auto`.',
      ...CONDITIONS,
    },
    answers: {
      ...OF_LINK,
      302: {
        description: 'A redirect to the bucket, for a link that redirects.',
        headers: { Location: 'A signed GET, valid for five to ten minutes.' },
      },
    },
    errors: [
      'link_invalid',
      'encoding_not_acceptable',
      'link_expired',
      'object_not_found',
      'unsupported_image',
      'unavailable',
      'not_supported',
      'storage_error',
      'unknown_bucket',
    ],
  },
  'GET /f/:token/:key': {
    id: 'openFolderLink',
    tag: 'links',
    summary: 'Open a file by a folder link',
    description:
      'The token in the path is the credential. Make the URL from the `base` of a folder link, and do not build it from these parameters: slashes between the segments of the key are not encoded. It takes no query.',
    headers: CONDITIONS,
    answers: OF_LINK,
    errors: [
      'link_invalid',
      'encoding_not_acceptable',
      'link_expired',
      'object_not_found',
      'not_supported',
      'storage_error',
      'unavailable',
      'unknown_bucket',
    ],
  },
}
