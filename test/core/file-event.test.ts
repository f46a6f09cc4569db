import { describe, expect, it } from 'vitest'
import { parseObjectKey } from '../../src/keys/object-key.ts'
import { eventBody, eventId, type FileChange } from '../../src/records/file-event.ts'
import { jobIn, jobMessage } from '../../src/records/job.ts'

const FILE = {
  key: parseObjectKey('uploads/é.png'),
  bucket: 'files',
  name: 'É.png',
  size: 5,
  mimetype: 'image/png',
  etag: '"e1"',
  owner: 'key:ci',
  createdAt: '2026-11-24T12:00:00.000Z',
}
const recorded: FileChange = { type: 'recorded', file: FILE }
const deleted: FileChange = { type: 'deleted', file: { bucket: 'files', key: FILE.key } }

describe('the id of an event', () => {
  // Made with Python's hashlib.
  it('stays the same in every version, since endpoints tell repeats by it', async () => {
    expect(await eventId(recorded, FILE)).toBe('evt_c1514938eb480e89367b87671fef985a')
    expect(await eventId(deleted, FILE)).toBe('evt_3cc06fff32af067935adcaed02f9d0de')
  })

  it('is the same when a repeat reports a replaced file as recorded', async () => {
    const replaced: FileChange = { type: 'replaced', file: FILE }
    expect(await eventId(replaced, FILE)).toBe(await eventId(recorded, FILE))
  })

  // @threat file-misattributed
  it('differs by bucket, key, ETag, date, owner, and between an upload and a delete', async () => {
    const ids = await Promise.all([
      eventId(recorded, FILE),
      eventId(deleted, FILE),
      ...[
        { bucket: 'other' },
        { key: parseObjectKey('uploads/e.png') },
        { etag: '"e2"' },
        { createdAt: '2026-11-24T12:00:01.000Z' },
        { owner: 'key:ann' },
      ].map((change) => {
        const file = { ...FILE, ...change }
        return eventId({ type: 'recorded', file }, file)
      }),
    ])
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('differs for a file that has no owner yet, until it is deleted', async () => {
    const provisional = { ...FILE, owner: null }
    const id = await eventId({ type: 'recorded', file: provisional }, provisional)
    expect(id).not.toBe(await eventId(recorded, FILE))
    expect(await eventId(deleted, provisional)).toBe(await eventId(deleted, FILE))
  })

  it('differs once somebody has confirmed a file, also one of the owner that its record has guessed', async () => {
    const found = { ...FILE, status: 'found' as const }
    const id = await eventId({ type: 'recorded', file: found }, found)
    expect(id).not.toBe(await eventId(recorded, FILE))
    const ownerless = { ...FILE, owner: null }
    expect(await eventId({ type: 'recorded', file: ownerless }, ownerless)).toBe(id)
  })

  it('is new each time for a deleted file without a record', async () => {
    expect(await eventId(deleted, null)).not.toBe(await eventId(deleted, null))
  })
})

it('the body of a webhook has the file, who changed it, and the time', () => {
  const actor = { principal: 'key:app/alice', subject: 'alice', context: { plan: 'pro' } }
  const timestamp = '2026-11-24T12:00:05.000Z'
  const body = eventBody({ ...recorded, ...actor, timestamp })
  expect(JSON.parse(body)).toEqual({
    type: 'file.recorded',
    timestamp,
    data: { file: FILE, ...actor },
  })
})

/*
 * Messages wait in the queue during a deploy. If this fails, a new Worker can't read the messages of
 * the old one: give the new format a new version, and keep reading the old one.
 */
describe('a message of version 1', () => {
  it.each([
    '{"version":1,"kind":"webhook","endpoint":"d3b0","id":"evt_1","body":"{}"}',
    '{"version":1,"kind":"purge","bucket":"files","keys":["a/b.png"]}',
  ])('is read in every version: %s', (message) => {
    const job = jobIn(JSON.parse(message))
    if (typeof job === 'string') throw new Error('The message must be readable.')
    expect(JSON.parse(JSON.stringify(jobMessage(job)))).toEqual(JSON.parse(message))
  })

  it.each([
    ['a version that is not a number', { version: '2', kind: 'purge' }],
    ['a key that is none', { version: 1, kind: 'purge', bucket: 'files', keys: ['../a'] }],
    ['another kind', { version: 1, kind: 'other' }],
    ['a missing member', { version: 1, kind: 'webhook', id: 'evt_1', body: '{}' }],
    ['text', 'purge'],
    ['nothing', null],
  ])('is not read if it has %s', (_, message) => {
    expect(jobIn(message)).toBe('malformed')
  })

  it('waits for the Worker that knows its version', () => {
    expect(jobIn({ version: 2, kind: 'other' })).toBe('of a later version')
  })
})
