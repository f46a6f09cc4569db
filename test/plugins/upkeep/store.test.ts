import { reset } from 'cloudflare:test'
import { afterEach, expect, it } from 'vitest'
import { startPass, type WalkState } from '../../../src/plugins/upkeep/state.ts'
import { collect, forgetFound, tryAgain } from '../../../src/plugins/upkeep/store.ts'
import { at, NOON, ORDER, testStore } from './support/walks.ts'

afterEach(reset)

const STATE = startPass(ORDER, 'a bucket', at(0))
const acting = (changes: Partial<WalkState> = {}): WalkState => ({
  ...{ ...STATE, phase: 'acting', nextAt: null, ...changes },
})

it('gives a step to one of two, until it is saved or two minutes are over', async () => {
  const store = testStore()
  await store.begin('files', STATE, false)
  expect(await store.claim(['other'], NOON)).toBe(null)
  expect(await store.claim(['files'], NOON - 1)).toBe(null)
  const claims = await Promise.all([1, 2, 3].map(() => store.claim(['files'], NOON)))
  const [claim] = claims.filter((one) => one !== null)
  expect(claims.filter((one) => one !== null)).toHaveLength(1)
  expect(claim).toMatchObject({ walk: 'files', state: STATE })
  expect(await store.claim(['files'], NOON + 119_999)).toBe(null)
  expect(await store.claim(['files'], NOON + 120_000)).toMatchObject({ state: STATE })
  // Its lease has ended.
  const changes = [collect('files', ['a'], NOON)]
  if (claim) await store.save(claim, { ...STATE, after: 'late' }, changes)
  expect(await store.status('files')).toMatchObject({ state: STATE, collected: 0 })
})

// @threat upkeep-order-lost
it('saves no step over an order that a person has given meanwhile', async () => {
  const store = testStore()
  await store.begin('files', STATE, false)
  const claim = await store.claim(['files'], NOON)
  const order = startPass({ ...ORDER, isWaited: true }, 'a bucket', at(1000))
  await store.begin('files', order, false)
  const changes = [collect('files', ['a'], NOON)]
  if (claim) await store.save(claim, { ...STATE, phase: 'idle', nextAt: null }, changes)
  expect(await store.status('files')).toMatchObject({ state: order, collected: 0 })
  expect(await store.claim(['files'], NOON + 1000)).toMatchObject({ state: order })
})

it('takes the walk that waits the longest', async () => {
  const store = testStore()
  await store.begin('a', { ...STATE, nextAt: NOON + 2 }, false)
  await store.begin('b', { ...STATE, nextAt: NOON + 1 }, false)
  for (const walk of ['b', 'a'])
    expect(await store.claim(['a', 'b'], NOON + 5)).toMatchObject({ walk })
  expect(await store.claim(['a', 'b'], NOON + 5)).toBe(null)
})

it('is due for what a pass has collected while it acts, and for what has failed, unless it reports or has stopped', async () => {
  const store = testStore()
  const due = async (state: WalkState) => {
    const claim = await store.claim(['files'], NOON + 1000)
    if (claim === null) return null
    await store.save(claim, state, [])
    return (await store.claim(['files'], NOON)) !== null
  }
  await store.begin('files', STATE, false)
  const claim = await store.claim(['files'], NOON)
  if (claim) await store.save(claim, acting(), [collect('files', ['a', 'b'], NOON)])
  expect(await store.claim(['files'], NOON)).not.toBe(null)
  for (const [state, isDue] of [
    [acting(), true],
    [acting({ phase: 'idle' }), false],
    [acting({ order: { ...ORDER, mode: 'report' } }), false],
    [acting({ stopped: { reason: 'empty list', at: '' } }), false],
  ] as const) {
    await store.put('files', { ...STATE, nextAt: NOON })
    expect(await due(state), JSON.stringify(state)).toBe(isDue)
  }
  await store.put('files', { ...STATE, nextAt: NOON })
  const next = await store.claim(['files'], NOON)
  const found = { key: 'a', kind: 'change', tries: 1 } as const
  if (next)
    await store.save(next, acting({ phase: 'idle' }), [
      forgetFound('files', ['b']),
      tryAgain('files', found, NOON + 5),
    ])
  expect(await store.claim(['files'], NOON + 4)).toBe(null)
  expect(await store.claim(['files'], NOON + 5)).not.toBe(null)
  expect(await store.due('files', ['record', 'change'], NOON + 5, 10)).toEqual([found])
})

it('keeps the turn of a key that has failed, if a pass finds it again', async () => {
  const store = testStore()
  await store.begin('files', STATE, false)
  const claim = await store.claim(['files'], NOON)
  const found = { key: 'a', kind: 'change', tries: 3 } as const
  if (claim)
    await store.save(claim, acting(), [
      tryAgain('files', found, NOON + 100),
      collect('files', ['a', 'b'], NOON + 5),
    ])
  expect(await store.status('files')).toMatchObject({ collected: 1, failing: 1 })
  expect(await store.due('files', ['collected', 'change'], NOON + 100, 10)).toEqual([
    { key: 'b', kind: 'collected', tries: 0 },
    found,
  ])
  // Another pass begins.
  await store.begin('files', STATE, false)
  expect(await store.status('files')).toMatchObject({ collected: 0, failing: 1 })
  // Through another bucket.
  await store.begin('files', STATE, true)
  expect(await store.status('files')).toMatchObject({ collected: 0, failing: 0 })
})
