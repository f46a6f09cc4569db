import { describe, expect, it } from 'vitest'
import { parseObjectKey } from '../../../src/keys/object-key.ts'
import {
  identityOf,
  stopAfterLook,
  stopAtStart,
  stopAtWitnesses,
  withWitness,
} from '../../../src/plugins/upkeep/brake.ts'
import { startWalk } from '../../../src/plugins/upkeep/pass.ts'
import type { Counts, PassSummary } from '../../../src/plugins/upkeep/state.ts'
import { testBucket } from '../../support/test-bucket.ts'
import { at, testWalk } from './support/walks.ts'

const { counts: NONE } = startWalk(testWalk(), at(0))
const summary = (counts: Partial<Counts>): PassSummary => ({
  ...{ mode: 'record', startedAt: '', endedAt: '', counts: { ...NONE, ...counts } },
})
const look = (counts: Partial<Counts>, last: PassSummary | null = null, isListDone = true) =>
  stopAfterLook({ accepted: [], last }, { counts: { ...NONE, ...counts }, isListDone })

describe('the brake', () => {
  it('stops at another endpoint, path or name, and not at another key or alias', () => {
    const state = { identity: identityOf(testBucket()), accepted: [] }
    expect(stopAtStart(state, testBucket({ alias: 'other', region: 'eu' }))).toBe(null)
    for (const other of [{ origin: 'https://s3.example' }, { basePath: '/b/' }, { name: 'b' }])
      expect(stopAtStart(state, testBucket(other))).toBe('another bucket')
    const accepted = { ...state, accepted: ['another bucket'] as const }
    expect(stopAtStart(accepted, testBucket({ name: 'b' }))).toBe(null)
  })

  it('stops if no witness that the index still knows is in the bucket', () => {
    const none = { accepted: [] }
    expect(stopAtWitnesses(none, ['is missing', 'is missing', null])).toBe('another bucket')
    expect(stopAtWitnesses(none, ['is missing', 'is there', null])).toBe(null)
    expect(stopAtWitnesses(none, [null, null, null])).toBe(null)
    expect(stopAtWitnesses(none, [])).toBe(null)
    expect(stopAtWitnesses({ accepted: ['another bucket'] }, ['is missing'])).toBe(null)
  })

  it('stops at an empty list while the index has records', () => {
    expect(look({ records: 1 })).toBe('empty list')
    expect(look({ records: 1 }, null, false)).toBe(null)
    expect(look({ records: 1, objects: 1 })).toBe(null)
    expect(look({})).toBe(null)
  })

  it("stops at a list with less than half of the last pass's objects, and at least 20 fewer", () => {
    expect(look({ objects: 49 }, summary({ objects: 100 }))).toBe('shorter list')
    expect(look({ objects: 50 }, summary({ objects: 100 }))).toBe(null)
    expect(look({ objects: 49 }, summary({ objects: 100 }), false)).toBe(null)
    expect(look({ objects: 5 }, summary({ objects: 25 }))).toBe('shorter list')
    expect(look({ objects: 6 }, summary({ objects: 25 }))).toBe(null)
  })

  it('stops if more than 1 % and more than 20 of the records are without an object', () => {
    const reason = 'many records without an object'
    expect(look({ objects: 1, records: 30, gone: 21 })).toBe(reason)
    expect(look({ objects: 1, records: 30, gone: 20 })).toBe(null)
    expect(look({ objects: 1, records: 2099, gone: 21 })).toBe(reason)
    expect(look({ objects: 1, records: 2100, gone: 21 })).toBe(null)
    const counts = { ...NONE, objects: 1, records: 30, gone: 21 }
    const given = { accepted: [reason] as const, last: null }
    expect(stopAfterLook(given, { counts, isListDone: false })).toBe(null)
  })
})

it('keeps three witnesses of different pages, and the first one', () => {
  const names = Array.from({ length: 9 }, (_, i) => parseObjectKey(`page-${i}`))
  const chosen = names.reduce(
    (witnesses, key, i) => withWitness(witnesses, i, { key, etag: '' }),
    withWitness([], 0, undefined),
  )
  expect(chosen.map(({ key }) => key)).toEqual(['page-0', 'page-8', 'page-7'])
})
