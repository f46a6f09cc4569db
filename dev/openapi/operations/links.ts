import * as z from 'zod/mini'
import { link, links } from '../answers.ts'
import { LINK_SECONDS } from '../members.ts'
import type { Operations } from '../operation.ts'

const linkQuery = z.strictObject({
  exp: z.int().check(z.minimum(0)),
  mode: z.optional(z.literal('redirect')),
  dl: z.optional(z.string()),
  kid: z.string(),
  sig: z.string(),
})

const VALIDATORS = {
  ETag: 'From the bucket.',
  'Last-Modified': 'From the bucket.',
}

const OF_OBJECT = {
  ...VALIDATORS,
  'Accept-Ranges': 'From the bucket.',
  'Cache-Control': 'Private, and never longer than the lifetime of the link.',
  'Cache-Status': 'Whether the edge cache had a copy (RFC 9211).',
}

export const linkOperations: Operations = {
  'POST /files/:key/link': {
    id: 'createLink',
    tag: 'links',
    summary: 'Make a link for `<img>`',
    description:
      'The link works in `<img src>`, `<video src>`, `<a href>` and email. Does not check that the object exists. The same request within a window of `expiresIn` seconds returns exactly the same link.',
    scopes: ['links:create'],
    members: {
      expiresIn: LINK_SECONDS,
      download: { description: 'Sends the object as an attachment with this name.' },
    },
    answers: { 200: { description: 'The link.', body: link } },
    errors: ['invalid_key', 'invalid_expiry', 'unknown_bucket'],
  },
  'POST /links': {
    id: 'createLinks',
    tag: 'links',
    summary: 'Make up to 1000 links',
    description:
      'A key with the error `invalid_key` or `forbidden` does not affect the other keys.',
    scopes: ['links:create'],
    members: { expiresIn: LINK_SECONDS },
    answers: { 200: { description: 'A link or an error for each key.', body: links } },
    errors: ['invalid_expiry', 'unknown_bucket'],
  },
  'GET /i/:bucket/:key': {
    id: 'openLink',
    tag: 'links',
    summary: 'Open a link',
    description:
      'The link is the credential. Use it without changes: the Worker refuses a link with added, missing, reordered or differently encoded parameters. Do not build links from these parameters.',
    query: linkQuery,
    members: {
      exp: { description: 'When the link expires, in seconds since 1970.' },
      mode: { description: 'Present in a link that redirects.' },
      dl: { description: 'Name under which a browser saves the object.' },
      kid: { description: 'Id of the secret that signed the link.' },
      sig: { description: 'The signature.' },
    },
    headers: {
      Range:
        'One range of bytes. For several ranges, another unit or a malformed value, the response is the whole object.',
      'If-Range':
        'A strong ETag or a date. If it does not match, the response is the whole object.',
      'If-Match': 'ETags. The object must have one of them.',
      'If-Unmodified-Since': 'A date.',
      'If-None-Match': "ETags of the client's copies.",
      'If-Modified-Since': "The date of the client's copy.",
    },
    answers: {
      200: { description: 'The whole object.', body: '*/*', headers: OF_OBJECT },
      206: {
        description: 'The part that `Range` requests.',
        body: '*/*',
        headers: {
          ...OF_OBJECT,
          'Content-Range': 'The range of the part, and the size of the object.',
        },
      },
      302: {
        description: 'Redirects to the bucket, for a link that redirects.',
        headers: { Location: 'A presigned GET, valid for five to ten minutes.' },
      },
      308: {
        description: 'The link is on another host than LINK_ORIGIN.',
        headers: { Location: 'The same link on LINK_ORIGIN.' },
      },
      304: { description: "The client's copy is current.", headers: VALIDATORS },
      412: {
        description: '`If-Match` or `If-Unmodified-Since` does not match.',
        headers: VALIDATORS,
      },
      416: {
        description: '`Range` starts after the end of the object.',
        headers: { 'Content-Range': 'The size of the object, if the bucket sends it.' },
      },
    },
    errors: [
      'link_invalid',
      'encoding_not_acceptable',
      'link_expired',
      'object_not_found',
      'not_supported',
      'storage_error',
      'storage_busy',
      'unknown_bucket',
      'credentials_expired',
    ],
  },
}
