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
  ETag: 'As the bucket says.',
  'Last-Modified': 'As the bucket says.',
}

const OF_OBJECT = {
  ...VALIDATORS,
  'Accept-Ranges': 'As the bucket says.',
  'Cache-Control': "Private, and never longer than the link's life.",
  'Cache-Status': 'Whether the edge had a copy (RFC 9211).',
}

export const linkOperations: Operations = {
  'POST /files/:key/link': {
    id: 'createLink',
    tag: 'links',
    summary: 'Make a link for `<img>`',
    description:
      'The link works in `<img src>`, `<video src>`, `<a href>` and email. Whether the object exists is not looked at. Asking again for the same within a window of `expiresIn` seconds gives the very same text.',
    scopes: ['links:create'],
    members: {
      expiresIn: LINK_SECONDS,
      download: { description: 'The object comes as an attachment under this name.' },
    },
    answers: { 200: { description: 'The link.', body: link } },
    errors: ['invalid_key', 'invalid_expiry', 'unknown_bucket'],
  },
  'POST /links': {
    id: 'createLinks',
    tag: 'links',
    summary: 'Make up to 1000 links',
    description: 'A key that is `invalid_key` or `forbidden` does not fail the others.',
    scopes: ['links:create'],
    members: { expiresIn: LINK_SECONDS },
    answers: { 200: { description: 'A link or an error for each key.', body: links } },
    errors: ['invalid_expiry', 'unknown_bucket'],
  },
  'GET /i/:bucket/:key': {
    id: 'openLink',
    tag: 'links',
    summary: 'What a link leads to',
    description:
      'The link is the credential. It has one spelling, the one that it was made in: nothing may be added, left out, encoded or ordered otherwise. So take links as they are, and do not build them from these parameters.',
    query: linkQuery,
    members: {
      exp: { description: 'When the link ends, in seconds since 1970.' },
      mode: { description: 'There in a link that redirects.' },
      dl: { description: 'Name to save the object under.' },
      kid: { description: 'Names the secret that signed the link.' },
      sig: { description: 'The signature.' },
    },
    headers: {
      Range: 'One range of bytes. Several, another unit and nonsense get the whole object.',
      'If-Range': 'A strong ETag or a date, without which the part is not wanted.',
      'If-Match': 'ETags, one of which the object must have.',
      'If-Unmodified-Since': 'A date.',
      'If-None-Match': "ETags of the client's copies.",
      'If-Modified-Since': "The date of the client's copy.",
    },
    answers: {
      200: { description: 'The whole object.', body: '*/*', headers: OF_OBJECT },
      206: {
        description: 'The part that `Range` asks for.',
        body: '*/*',
        headers: { ...OF_OBJECT, 'Content-Range': 'Which part, and of how many bytes.' },
      },
      302: {
        description: 'To the bucket, for a link that redirects.',
        headers: { Location: 'A presigned GET, good for five to ten minutes.' },
      },
      308: {
        description: 'A link on another host than that of LINK_ORIGIN.',
        headers: { Location: 'The same link on LINK_ORIGIN.' },
      },
      304: { description: "The client's copy is current.", headers: VALIDATORS },
      412: { description: '`If-Match` or `If-Unmodified-Since` fails.', headers: VALIDATORS },
      416: {
        description: '`Range` starts behind the end.',
        headers: { 'Content-Range': 'The size of the object, if the bucket tells it.' },
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
