import { grant, grants } from '../answers.ts'
import type { Answer, Members, Operations } from '../operation.ts'

const CHANGEABLE: Members = {
  uses: {
    description:
      'How many links it dispenses in all. Null, or nothing in a new grant, is any number.',
  },
  label: {
    description: 'One line for the recipient, who sees it on the page, and for your list.',
    examples: ['The report that you asked for'],
  },
  deadline: {
    description:
      "When it ends: ISO 8601 in UTC, at most 366 days ahead, and within the caller's `maxExpiresIn`.",
    format: 'date-time',
    examples: ['2026-12-24T18:00:00Z'],
  },
}

const OF_PAGE: Readonly<Record<number, Answer>> = {
  308: {
    description: 'A redirect to the host of LINK_ORIGIN, if the request came to another host.',
    headers: { Location: 'The same page on LINK_ORIGIN.' },
  },
}

/** Errors of a page. Browsers get them as pages. */
const OF_VISITOR = [
  'grant_ended',
  'link_invalid',
  'forbidden',
  'object_not_found',
  'rate_limited',
  'refused',
  'unavailable',
  'not_supported',
  'storage_error',
] as const

export const grantOperations: Operations = {
  'POST /grants': {
    id: 'createGrant',
    tag: 'grants',
    summary: 'Create a grant',
    description:
      'A grant dispenses links to one object. It counts them, and can be revoked. Also needs `links:create` and `files:read`.',
    scopes: ['grants:create'],
    members: {
      ...CHANGEABLE,
      password: { description: "The recipient must enter it. Can't be combined with `direct`." },
      direct: {
        description:
          'Makes each GET of the URL take a use and redirect, for `<img>` and scripts. Default: the URL is a page with a button.',
      },
      download: {
        description:
          "The browser saves the object under this name. Default: the file's own name, or with `direct` none, so that the browser shows it.",
      },
      restrictions: {
        description:
          'Who may open the page and its links, and when they start to work. The members are those of a link.',
      },
    },
    answers: {
      201: {
        description: 'The grant.',
        body: grant,
        headers: { Location: 'The path of the grant, for its creator.' },
      },
    },
    errors: [
      'invalid_key',
      'invalid_expiry',
      'unknown_bucket',
      'object_not_found',
      'unavailable',
      'not_supported',
      'storage_error',
    ],
  },
  'GET /grants': {
    id: 'listGrants',
    tag: 'grants',
    summary: "List the caller's grants",
    description:
      'The newest first, including those that have ended within the last 7 days. Skips grants for objects that the caller may no longer use, so a page can have fewer than `limit`. Also needs `links:create` and `files:read`, since each grant has its URL.',
    scopes: ['grants:create'],
    members: {
      limit: { description: 'Grants on a page, 1 to 100. The default is 50.' },
      cursor: { description: 'From the previous page.' },
      subject: { description: 'Whose grants: a subject of the tokens of this API key.' },
    },
    answers: { 200: { description: 'A page of grants.', body: grants } },
    errors: ['invalid_cursor', 'unavailable', 'not_supported'],
  },
  'GET /grants/:id': {
    id: 'getGrant',
    tag: 'grants',
    summary: 'Get a grant',
    description:
      'Only for its creator, and the API key of which that is a subject. Also needs `links:create` and `files:read`.',
    scopes: ['grants:create'],
    answers: { 200: { description: 'The grant.', body: grant } },
    errors: ['not_found', 'unavailable', 'not_supported'],
  },
  'PATCH /grants/:id': {
    id: 'changeGrant',
    tag: 'grants',
    summary: 'Change a grant',
    description:
      'Only for its creator. Members that the body lacks stay as they are. Also needs `links:create` and `files:read`.',
    scopes: ['grants:create'],
    members: CHANGEABLE,
    answers: { 200: { description: 'The changed grant.', body: grant } },
    errors: ['not_found', 'invalid_expiry', 'unavailable', 'not_supported'],
  },
  'DELETE /grants/:id': {
    id: 'withdrawGrant',
    tag: 'grants',
    summary: 'Revoke a grant',
    description:
      'Only for its creator. The grant dispenses no more links, at once and everywhere. Those that it has dispensed stay valid for up to 10 minutes. Safe to repeat.',
    scopes: ['grants:create'],
    answers: { 204: { description: 'The grant is gone.' } },
    errors: ['not_found', 'unavailable', 'not_supported'],
  },
  'GET /g/:secret': {
    id: 'openGrant',
    tag: 'grants',
    summary: 'Open the page of a grant',
    description:
      'The secret in the path is the credential. Takes no use, unless the grant is `direct`: then each GET takes one, but neither HEAD nor a prefetch does.',
    headers: {
      Accept: 'With `text/html`, errors are pages.',
      'Sec-Purpose': 'With `prefetch`, a `direct` grant takes no use.',
    },
    answers: {
      200: { description: 'The page, with a form.', body: 'text/html' },
      302: {
        description: 'For a `direct` grant: a redirect to a link.',
        headers: { Location: 'A link, valid for 10 minutes.' },
      },
      ...OF_PAGE,
    },
    errors: OF_VISITOR,
  },
  'POST /g/:secret': {
    id: 'useGrant',
    tag: 'grants',
    summary: 'Use a grant',
    description:
      'The form of the page: `application/x-www-form-urlencoded` with `password` if the grant has one, and with `page`. Takes one use. While its link is valid, the same `page` gets it again without another one. Refuses pages of other origins.',
    headers: { Accept: 'With `text/html`, errors are pages.' },
    answers: {
      303: {
        description: 'A redirect to a link.',
        headers: { Location: 'A link, valid for 10 minutes.' },
      },
      ...OF_PAGE,
    },
    errors: [
      ...OF_VISITOR,
      'password_wrong',
      'invalid_request',
      'body_too_large',
      'unsupported_media_type',
    ],
  },
}
