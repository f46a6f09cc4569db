import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import { indexPage, objectPage, putRecords } from '../answers.ts'
import type { Operations } from '../operation.ts'

const STORAGE: readonly ErrorCode[] = ['storage_error', 'unavailable', 'unknown_bucket']

export const adminOperations: Operations = {
  'GET /objects': {
    id: 'listObjects',
    tag: 'admin',
    summary: 'List the objects of the bucket',
    description:
      'Lists the bucket itself, by S3 ListObjectsV2, and marks what has no record. No caller can use it until `API_KEYS` or `JWT` has the scope `objects:list`. Keys that no URL can name are left out.',
    scopes: ['objects:list'],
    members: {
      prefix: {
        description:
          "Start of the keys. Must start with the caller's prefix, which is the default.",
      },
      delimiter: {
        description: 'Lists only objects directly below `prefix`, and the folders there.',
      },
      limit: { description: 'Objects and folders on a page.' },
      cursor: {
        description: '`cursor` of the previous page, with the same bucket, prefix and delimiter.',
      },
    },
    answers: { 200: { description: 'A page of objects.', body: objectPage } },
    errors: [
      'not_found',
      'invalid_cursor',
      'invalid_key',
      'unavailable',
      'not_supported',
      ...STORAGE,
    ],
  },
  'GET /index': {
    id: 'readIndex',
    tag: 'admin',
    summary: 'Read all records of an index',
    description:
      'For backups and copies: `npx edge-presigner index` calls it. Only an API key can have the scope.',
    scopes: ['index:write'],
    members: {
      from: { description: 'Name of the index.', examples: ['kv', 'd1'] },
      limit: { description: 'Records on a page.' },
      cursor: { description: '`cursor` of the previous page, with the same index and bucket.' },
    },
    answers: {
      200: { description: 'A page of records, in the order of the keys.', body: indexPage },
    },
    errors: ['invalid_cursor', 'unavailable', 'not_supported', 'unknown_bucket'],
  },
  'PUT /index': {
    id: 'writeIndex',
    tag: 'admin',
    summary: 'Store up to 20 existing records',
    description:
      'The index keeps its record of a later object, and of the same one without `overwrite`. A record whose object is gone is not stored, and is removed. Sends no events. Safe to repeat. Only an API key can have the scope.',
    scopes: ['index:write'],
    members: {
      to: { description: 'Name of the index.', examples: ['kv', 'd1'] },
      records: { description: 'Records of one bucket, as `GET /index` returns them.' },
      overwrite: {
        description: 'Also replaces a record of the same object, such as one with another name.',
      },
    },
    answers: { 200: { description: 'What happened to each record.', body: putRecords } },
    errors: ['unavailable', 'not_supported', ...STORAGE],
  },
}
