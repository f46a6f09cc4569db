import type { ErrorCode } from '../../../../src/errors/api-error.ts'
import { droppedRecords, restoredRecords, upkeepStatus, upkeepStep } from '../answers.ts'
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
  'POST /upkeep/steps': {
    id: 'stepUpkeep',
    tag: 'upkeep',
    summary: 'Do one step of a walk',
    description:
      'For `npx edge-presigner upkeep`. The cursor has the state of the walk, so repeat the request with the `cursor` of the response until `isDone`. Only for API keys without a prefix.',
    scopes: ['upkeep:run'],
    members: {
      cursor: {
        description:
          '`cursor` of the previous step of the same walk, at most 90 days old. Without it, a pass begins.',
      },
      mode: {
        description:
          'What the walk may do: at most what the setting says, which is the default. An import is `record`, or `report`.',
      },
      import: {
        description:
          'Records the objects below `prefix`, whoever put them there. `owner` says where the owner is in a key, and `ownerAs` what the id of the owner is in records.',
      },
      goOn: { description: 'Goes on although the brake has stopped this walk.' },
      limit: { description: 'Objects on a page.' },
    },
    answers: { 200: { description: 'What the step has left.', body: upkeepStep } },
    errors: ['invalid_cursor', 'invalid_key', 'state_unavailable', ...STORAGE],
  },
  'POST /upkeep/go-on': {
    id: 'goOnWithUpkeep',
    tag: 'upkeep',
    summary: 'Let a stopped walk go on',
    description:
      'Call it after you have checked why the brake stopped the walk of the Cron Trigger. Does nothing for a walk that is not stopped. Only for API keys without a prefix.',
    scopes: ['upkeep:run'],
    answers: { 204: { description: 'The walk goes on at the next time of the Cron Trigger.' } },
    errors: ['unknown_bucket', ...STATE],
  },
  'GET /upkeep/dropped': {
    id: 'listDropped',
    tag: 'upkeep',
    summary: 'List records that upkeep has dropped',
    description:
      "Their objects were gone. They are kept for 30 days. Lists those below the caller's prefix, in the order of their keys. Only an API key can have the scope.",
    scopes: ['index:write'],
    members: {
      limit: { description: 'Records on a page.' },
      cursor: { description: '`cursor` of the previous page, with the same bucket.' },
    },
    answers: { 200: { description: 'A page of records.', body: droppedRecords } },
    errors: ['invalid_cursor', 'unknown_bucket', ...STATE],
  },
  'POST /upkeep/restore': {
    id: 'restoreDropped',
    tag: 'upkeep',
    summary: 'Restore up to 20 dropped records',
    description:
      'Puts the records back whose objects are in the bucket again, with their names and owners. Safe to repeat. Only an API key can have the scope.',
    scopes: ['index:write'],
    members: { keys: { description: 'Keys of dropped records.' } },
    answers: { 200: { description: 'What happened to each record.', body: restoredRecords } },
    errors: ['events_unavailable', ...STATE, ...STORAGE],
  },
}
