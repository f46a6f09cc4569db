import { describe, expect, it } from 'vitest'
import type { BucketStatus } from '../../demo/src/upkeep/status.ts'
import { statusIn } from '../../demo/src/upkeep/status.ts'
import {
  doneInWords,
  foundInWords,
  lastInWords,
  modeInWords,
  stateInWords,
  stopInWords,
  waitingInWords,
} from '../../demo/src/upkeep/upkeep-words.ts'
import {
  exactSizeInWords,
  ownerInWords,
  receivedInWords,
  sizeInWords,
  untilInWords,
  usesInWords,
} from '../../demo/src/words.ts'
import { MODES, STOP_REASONS } from '../../src/plugins/upkeep/state.ts'

it.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1000, '1 kB'],
  [1024, '1 kB'],
  [999_999, '999.9 kB'],
  [20 * 1024 ** 2, '20.9 MB'],
  [5e12, '5 TB'],
])('rounds %i bytes down to %s', (bytes, text) => {
  expect(sizeInWords(bytes)).toBe(text)
})

it.each([
  [140, '140 bytes'],
  [1_234_567, '1.2 MB (1,234,567 bytes)'],
])('gives the exact size of %i bytes once', (bytes, text) => {
  expect(exactSizeInWords(bytes)).toBe(text)
})

it.each([
  [null, 'unknown'],
  ['localhost', 'local user'],
  ['key:localhost', 'local user'],
  ['key:localhost/ann', 'user ann (local user)'],
  ['key:ci', 'API key ci'],
  ['key:ci/ann/b', 'user ann/b (API key ci)'],
  ['jwt:ann', 'user ann'],
  ['app:ann', 'user ann'],
])('names the owner %s', (owner, text) => {
  expect(ownerInWords(owner)).toBe(text)
})

it.each([
  [1, 1, '1 use'],
  [5, 5, '5 uses'],
  [2, 5, '2 of 5 uses left'],
  [0, 1, 'used up'],
  [999_999, 1_000_000, '999,999 of 1,000,000 uses left'],
  [null, null, 'any number of uses'],
])('says how often a link with %j of %j uses still works', (left, uses, text) => {
  expect(usesInWords(left, uses)).toBe(text)
})

it.each([
  [{ files: 0, bytes: 0 }, 'nothing received, room for 20 files'],
  [{ files: 1, bytes: 1_250_000 }, '1 of 20 files, 1.2 MB of 1 GB'],
])('says what a drop box has received: %j', (received, text) => {
  expect(receivedInWords({ received, maxFiles: 20, maxTotalBytes: 1e9 })).toBe(text)
})

it('says how long something works, or when it has ended', () => {
  const deadline = new Date('2026-11-25T14:30:00Z')
  const [before, after] = [-1, 0].map((by) => new Date(deadline.getTime() + by))
  expect(untilInWords(deadline, before ?? deadline)).toMatch(/^until Nov 2\d, 2026, /)
  expect(untilInWords(deadline, after ?? deadline)).toMatch(/^ended Nov 2\d, 2026, /)
})

describe('upkeep', () => {
  const NOW = new Date('2026-11-28T12:00:00Z')
  const BUCKET: BucketStatus = {
    ...{ bucket: 'files', startedAt: NOW, counts: {}, collected: 0, failing: 0, stopped: null },
    last: { endedAt: new Date('2026-11-28T11:55:00Z'), counts: { objects: 1 } },
  }
  const bucket = (changes: Partial<BucketStatus>): BucketStatus => ({ ...BUCKET, ...changes })

  it.each<[string, string, Partial<BucketStatus>]>([
    ['all is well', 'report', {}],
    ['all is well', 'record', { last: { endedAt: NOW, counts: { unrecorded: 2 } } }],
    ['found something', 'report', { last: { endedAt: NOW, counts: { unrecorded: 2 } } }],
    ['found something', 'record', { last: { endedAt: NOW, counts: { failed: 1 } } }],
    ['something waits', 'record', { collected: 1 }],
    ['stopped', 'record', { stopped: { reason: 'empty list', at: NOW }, failing: 1 }],
    ['at work', 'record', { last: null }],
    ['', 'record', { last: null, startedAt: null }],
  ])('is "%s" with mode %s and %j', (text, mode, changes) => {
    expect(stateInWords({ mode, buckets: [bucket(changes)] })).toBe(text)
  })

  it('says when it looked last, or how far it has come', () => {
    expect(lastInWords(BUCKET, NOW)).toBe('Last look through all 1 file: 5m ago.')
    const first = bucket({ last: null, counts: { objects: 1200 } })
    expect(lastInWords(first, NOW)).toBe(
      'The first look began just now, and has seen 1,200 files so far.',
    )
    expect(lastInWords(bucket({ last: null, startedAt: null }), NOW)).toBe('It has not run yet.')
  })

  it('names what a pass has found and done, and nothing that it has not', () => {
    const counts = { objects: 9, unrecorded: 1, gone: 2, unmanaged: 5, recorded: 1, dropped: 0 }
    expect(foundInWords(counts)).toEqual([
      '1 file that is not in the list',
      '2 entries whose file is gone',
    ])
    expect(doneInWords(counts)).toEqual(['1 file added to the list'])
  })

  it('says what waits', () => {
    expect(waitingInWords(BUCKET)).toEqual([])
    expect(waitingInWords(bucket({ collected: 1, failing: 2 }))).toEqual([
      '1 entry waits for a second look.',
      '2 files failed, and are tried again.',
    ])
  })

  it('has words for each mode and each reason to stop', () => {
    for (const mode of MODES) expect(modeInWords(mode)).toMatch(/\.$/)
    for (const reason of STOP_REASONS)
      expect(stopInWords(reason).join(' ')).not.toContain('unusual')
    expect(stopInWords('a later one')[0]).toBe('It has found something unusual: a later one.')
  })

  it('shows nothing of what is not an answer of upkeep', () => {
    for (const answer of [undefined, null, [], 'x', {}, { mode: 'report' }, { buckets: [] }])
      expect(statusIn(answer)).toBeNull()
    expect(statusIn({ mode: 'report', buckets: [{ bucket: 'files', counts: null }] })).toEqual({
      mode: 'report',
      buckets: [bucket({ startedAt: null, last: null })],
    })
  })
})
