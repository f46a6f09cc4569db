import { dropBox, dropBoxes, dropBoxToken, receivedFiles } from '../answers.ts'
import type { Operations } from '../operation.ts'

const OF_OBJECT = ['unavailable', 'not_supported'] as const

export const dropBoxOperations: Operations = {
  'POST /drop-boxes': {
    id: 'createDropBox',
    tag: 'drop-boxes',
    summary: 'Create a drop box',
    description:
      "A page on which anybody with its URL can drop files, below a prefix. Also needs `files:upload`. Its limits can't be wider than the caller's.",
    scopes: ['drop-boxes:create'],
    members: {
      prefix: {
        description: "Where the files go. Ends with `/` and starts with the caller's prefix.",
        examples: ['applications/2026/'],
      },
      deadline: {
        description:
          "When it closes: ISO 8601 in UTC, at most 366 days ahead, and within the caller's `maxExpiresIn`.",
        format: 'date-time',
        examples: ['2026-12-24T18:00:00Z'],
      },
      maxFiles: { description: 'How many files it accepts.' },
      maxBytes: { description: 'Maximum size of a file in bytes.' },
      maxTotalBytes: { description: 'Maximum size of all files in bytes.' },
      allowedTypes: { description: "Types that it accepts. The default is the caller's list." },
      password: { description: 'Senders must enter it.' },
      from: {
        description: 'Who asks for files: one line, which the page shows.',
        examples: ['Example GmbH'],
      },
      title: { description: 'Title of the page: one line.', examples: ['Your documents'] },
      message: { description: 'Plain text for the page.' },
    },
    answers: {
      201: {
        description: 'The drop box.',
        body: dropBox,
        headers: { Location: 'The path of the drop box, for its creator.' },
      },
    },
    errors: ['forbidden', 'invalid_key', 'invalid_expiry', 'unknown_bucket', ...OF_OBJECT],
  },
  'GET /drop-boxes': {
    id: 'listDropBoxes',
    tag: 'drop-boxes',
    summary: "List the caller's drop boxes",
    description:
      'The newest first, including those that have closed within the last 30 days. Skips those outside of what the caller may use now, so a page can have fewer than `limit`. Also needs `files:upload`, since each drop box has its URL.',
    scopes: ['drop-boxes:create'],
    members: {
      limit: { description: 'Drop boxes on a page, 1 to 100. The default is 50.' },
      cursor: { description: 'From the previous page.' },
      subject: { description: 'Whose drop boxes: a subject of the tokens of this API key.' },
    },
    answers: { 200: { description: 'A page of drop boxes.', body: dropBoxes } },
    errors: ['invalid_cursor', ...OF_OBJECT],
  },
  'GET /drop-boxes/:id': {
    id: 'getDropBox',
    tag: 'drop-boxes',
    summary: 'Get a drop box',
    description:
      'Only for its creator, and the API key of which that is a subject. Also needs `files:upload`.',
    scopes: ['drop-boxes:create'],
    answers: { 200: { description: 'The drop box.', body: dropBox } },
    errors: ['not_found', ...OF_OBJECT],
  },
  'GET /drop-boxes/:id/files': {
    id: 'listReceivedFiles',
    tag: 'drop-boxes',
    summary: 'List what a drop box has received',
    description: 'The newest first. Only for its creator. Also needs `files:upload`.',
    scopes: ['drop-boxes:create'],
    members: {
      limit: { description: 'Files on a page, 1 to 100. The default is 50.' },
      cursor: { description: 'From the previous page.' },
    },
    answers: { 200: { description: 'A page of files.', body: receivedFiles } },
    errors: ['not_found', 'invalid_cursor', ...OF_OBJECT],
  },
  'DELETE /drop-boxes/:id': {
    id: 'closeDropBox',
    tag: 'drop-boxes',
    summary: 'Close a drop box',
    description:
      'Only for its creator. The box accepts nothing more, at once and everywhere. URLs that it has signed stay valid for up to 5 minutes, and what arrives through them is deleted. Files that arrived before stay; only the list of them is gone. Safe to repeat. Also needs `files:upload`.',
    scopes: ['drop-boxes:create'],
    answers: { 204: { description: 'The drop box is closed.' } },
    errors: ['not_found', ...OF_OBJECT],
  },
  'GET /d/:secret': {
    id: 'openDropBox',
    tag: 'drop-boxes',
    summary: 'Open the page of a drop box',
    description: 'The secret in the path is the credential. `/d/` also has the script of the page.',
    headers: { Accept: 'With `text/html`, errors are pages.' },
    answers: {
      200: { description: 'The page.', body: 'text/html' },
      308: {
        description: 'A redirect to the host of LINK_ORIGIN, if the request came to another host.',
        headers: { Location: 'The same page on LINK_ORIGIN.' },
      },
    },
    errors: ['drop_box_closed', 'unknown_bucket', 'rate_limited', ...OF_OBJECT],
  },
  'POST /d/:secret/token': {
    id: 'createDropBoxToken',
    tag: 'drop-boxes',
    summary: 'Get a token for a drop box',
    description:
      'For the page. The token is valid for 10 minutes, and only uploads: `POST /files/upload-url`, `POST /multipart` and its steps, `POST /files` and `GET /limits`. Each upload must state its size. Refuses pages of other origins.',
    members: {
      password: { description: 'If the drop box has one.' },
      sender: {
        description:
          'Plain text for the creator: `name`, one line of up to 200 characters, and `note`. Together at most 2048 bytes.',
      },
    },
    answers: { 200: { description: 'The token.', body: dropBoxToken } },
    errors: [
      ...['invalid_request', 'malformed_json', 'body_too_large', 'unsupported_media_type'],
      ...['drop_box_closed', 'password_wrong', 'forbidden', 'rate_limited', ...OF_OBJECT],
    ] as const,
  },
}
