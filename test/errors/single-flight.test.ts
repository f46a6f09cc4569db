import { afterEach, expect, it, vi } from 'vitest'
import { Flight } from '../../src/errors/single-flight.ts'
import { FAKE_CLOCK, fakeSeconds } from '../support/fake-seconds.ts'

const START = new Date('2026-11-24T12:00:00Z')

afterEach(() => vi.useRealTimers())

/** Tells whether a turn of ten seconds is on after `seconds`. */
function isOnAfter(seconds: number): boolean {
  vi.useFakeTimers({ now: START, toFake: ['Date'] })
  const turn = new Flight(Date.now() + 10_000)
  vi.setSystemTime(START.getTime() + seconds * 1000)
  return turn.isOn
}

it('a turn is on until its end, also for a request whose clock is a moment behind', () => {
  expect([-0.5, 0, 9.9].map(isOnAfter)).toEqual([true, true, true])
})

it('a turn is over at its end, or once the clock is set back', () => {
  expect([10, -1, -3600].map(isOnAfter)).toEqual([false, false, false])
})

it('the end of a turn is the end of the wait, also without a result', async () => {
  vi.useFakeTimers({ ...FAKE_CLOCK, now: START })
  const turn = new Flight<string>(Date.now() + 10_000)
  const waiting = fakeSeconds(turn.wait())
  turn.end()
  expect([await waiting, turn.isOn]).toEqual([[null, 0], false])
})
