import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import {
  deletedOrphans,
  keptRecords,
  orphans,
  restoredRecords,
  upkeepStatus,
  upkeepWalk,
} from '../answers.ts'
import type { Operations } from '../operation.ts'

const STATE: readonly ErrorCode[] = ['state_unavailable', 'not_supported']

const STORAGE: readonly ErrorCode[] = [
  'storage_error',
  'storage_busy',
  'credentials_expired',
  'unknown_bucket',
  'index_unavailable',
]

export const upkeepOperations: Operations = {
  'GET /upkeep': {
    id: 'getUpkeep',
    tag: 'upkeep',
    summary: 'Show what upkeep has found',
    description:
      'How far the walk of the Cron Trigger has come in each bucket, and what the last pass has found. Only for callers without a prefix, and with the buckets that they may use.',
    scopes: ['upkeep:read'],
    answers: { 200: { description: 'The settings, and each bucket.', body: upkeepStatus } },
    errors: STATE,
  },
  'POST /upkeep/walk': {
    id: 'walkUpkeep',
    tag: 'upkeep',
    summary: 'Order a walk through a bucket, and show its progress',
    description:
      'For `npx edge-presigner upkeep`. Begins a pass, or joins the one that has the same order. On Workers, the Durable Object of the bucket does the steps. Elsewhere, each request does one. Only for API keys without a prefix.',
    scopes: ['upkeep:run'],
    members: {
      mode: {
        description:
          'What the walk may do: at most what the setting says, which is the default. An import is `record`, or `report`.',
      },
      import: {
        description:
          'Records the objects below `prefix`, whoever put them there. `owner` says where the owner is in a key, and `ownerAs` what the id of the owner is in records. An import is a walk of its own.',
      },
      pass: {
        description: '`startedAt` of a pass: shows how far it has come, and begins no other one.',
      },
      restart: { description: 'Begins a new pass, also if one is at work or has stopped.' },
    },
    answers: { 200: { description: 'How far the walk has come.', body: upkeepWalk } },
    errors: ['invalid_key', 'unknown_bucket', ...STATE],
  },
  'POST /upkeep/go-on': {
    id: 'goOnWithUpkeep',
    tag: 'upkeep',
    summary: 'Let a stopped walk go on',
    description:
      'Call it after you have checked why the walk has stopped. Does nothing for a walk that has not stopped. Only for API keys without a prefix.',
    scopes: ['upkeep:run'],
    answers: { 204: { description: 'The walk goes on.' } },
    errors: ['unknown_bucket', ...STATE],
  },
  'GET /upkeep/orphans': {
    id: 'listOrphans',
    tag: 'upkeep',
    summary: 'Count objects that nobody owns',
    description:
      'Managed objects that have no record with an owner and no kept one, for so many days since a walk first saw them so. Only for callers without a prefix.',
    scopes: ['upkeep:read'],
    members: {
      prefix: { description: 'What their keys start with.' },
      olderThanDays: { description: 'Days since a walk first saw them without an owner.' },
    },
    answers: { 200: { description: 'How many there are, with samples.', body: orphans } },
    errors: ['invalid_key', 'unknown_bucket', 'index_unavailable', ...STATE],
  },
  'POST /upkeep/orphans/delete': {
    id: 'deleteOrphans',
    tag: 'upkeep',
    summary: 'Delete up to five objects that nobody owns',
    description:
      "Deletes each one only if it is still the object that the walk has seen, and has no owner, and the app's `beforeDelete` allows it. Repeat the request with `after` of the response. Deletes nothing with an empty index, in another bucket, or after a walk that has stopped. Only for API keys without a prefix.",
    scopes: ['upkeep:run'],
    members: {
      prefix: { description: 'What their keys start with.' },
      olderThanDays: { description: 'Days since a walk first saw them without an owner.' },
      count: {
        description:
          'The number of orphans that you have seen. Needed if they are more than a tenth of the files below the prefix. Refused if there are more now.',
      },
      after: { description: '`after` of the previous response.' },
    },
    answers: { 200: { description: 'What happened to each one.', body: deletedOrphans } },
    errors: ['invalid_key', 'precondition_failed', ...STATE, ...STORAGE],
  },
  'GET /upkeep/kept': {
    id: 'listKept',
    tag: 'upkeep',
    summary: 'List kept records',
    description:
      "Records with an owner that others than this owner have removed or replaced. They are kept for 30 days, or as long as the bucket has an object of their size. Lists those below the caller's prefix, in the order of their keys. Only an API key can have the scope.",
    scopes: ['index:write'],
    members: {
      limit: { description: 'Records on a page.' },
      cursor: { description: '`cursor` of the previous page, with the same bucket.' },
    },
    answers: { 200: { description: 'A page of records.', body: keptRecords } },
    errors: ['invalid_cursor', 'unknown_bucket', 'index_unavailable', 'not_supported'],
  },
  'POST /upkeep/restore': {
    id: 'restoreKept',
    tag: 'upkeep',
    summary: 'Restore up to 20 kept records',
    description:
      'Gives files their names and owners back, if their objects are there. Safe to repeat. Only an API key can have the scope.',
    scopes: ['index:write'],
    members: {
      keys: { description: 'Keys of kept records.' },
      changed: {
        description:
          'Also gives them to an object of the same size with another ETag, such as a copy in place.',
      },
    },
    answers: { 200: { description: 'What happened to each key.', body: restoredRecords } },
    errors: ['not_supported', ...STORAGE],
  },
}
