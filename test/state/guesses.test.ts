import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { networksOf } from '../../src/http/rate-limit.ts'
import { Guesses } from '../../src/state/guesses.ts'
import { stateStub } from '../support/state-stub.ts'

const START = Date.parse('2026-11-24T12:00:00Z')
const HOUR = 3_600_000

/** Runs `act` with the guesses of a new object. */
const withGuesses = (act: (guesses: Guesses, rows: () => number) => void): Promise<void> =>
  runInDurableObject(stateStub('Grants', crypto.randomUUID()), (_, { storage }) =>
    act(
      new Guesses(storage.sql),
      () => storage.sql.exec('SELECT network FROM guesses').toArray().length,
    ),
  )

describe('guesses of a password', () => {
  it('are free three times, and then wait twice as long each time, up to an hour', () =>
    withGuesses((guesses) => {
      const waits: number[] = []
      let now = START
      for (let i = 0; i < 18; i++) {
        const { waitSeconds } = guesses.check('right', 'wrong', ['home'], now)
        waits.push(waitSeconds)
        now += waitSeconds * 1000
        if (waitSeconds > 0)
          expect(guesses.check('right', 'wrong', ['home'], now).waitSeconds).toBe(0)
      }
      const doubling = Array.from({ length: 12 }, (_, i) => 2 ** i)
      expect(waits).toEqual([0, 0, 0, 0, ...doubling, 3600, 3600])
    }))

  it('of one network delay no other one', () =>
    withGuesses((guesses) => {
      for (let i = 0; i < 10; i++) guesses.check('right', 'wrong', ['attacker'], START)
      const late = { isRight: false, waitSeconds: 1 }
      expect(guesses.check('right', 'right', ['attacker'], START)).toEqual(late)
      const right = { isRight: true, waitSeconds: 0 }
      expect(guesses.check('right', 'right', ['recipient'], START)).toEqual(right)
    }))

  it('start anew after a right one', () =>
    withGuesses((guesses) => {
      for (let i = 0; i < 3; i++) guesses.check('right', 'wrong', ['home'], START)
      expect(guesses.check('right', 'right', ['home'], START).isRight).toBe(true)
      for (let i = 0; i < 4; i++)
        expect(guesses.check('right', 'wrong', ['home'], START).waitSeconds).toBe(0)
    }))

  // @threat grant-password-guessed box-password-guessing
  it('from all networks of a /48 slow it down, and those of other ones not', () =>
    withGuesses((guesses) => {
      let checked = 0
      for (let i = 0; i < 600; i++)
        for (let j = 0; j < 4; j++) {
          const networks = networksOf(`2001:db8:1:${i.toString(16)}::1`)
          const { waitSeconds } = guesses.check('right', 'wrong', networks, START)
          if (waitSeconds === 0) checked++
        }
      expect(checked).toBe(31)
      const other = networksOf('2001:db8:2:1::1')
      expect(guesses.check('right', 'right', other, START).isRight).toBe(true)
    }))

  it('from all networks of a /32 slow it down, and nothing slows all', () =>
    withGuesses((guesses) => {
      let checked = 0
      for (let i = 0; i < 600; i++) {
        const networks = networksOf(`2001:db8:${i.toString(16)}:1::1`)
        if (guesses.check('right', 'wrong', networks, START).waitSeconds === 0) checked++
      }
      expect(checked).toBe(301)
      const [waits, other] = [networksOf('2001:db8:ffff::1'), networksOf('2001:db9::1')]
      expect(guesses.check('right', 'right', waits, START).waitSeconds).toBe(1)
      expect(guesses.check('right', 'right', other, START).isRight).toBe(true)
    }))

  it('of a network that waits are never forgotten, however many others come', () =>
    withGuesses((guesses, rows) => {
      let now = START
      for (let i = 0; i < 15; i++)
        now += 1000 * guesses.check('right', 'wrong', ['attacker'], now).waitSeconds
      guesses.check('right', 'wrong', ['attacker'], now)
      for (let i = 0; i < 2000; i++) guesses.check('right', 'wrong', [`network ${i}`], now)
      expect(guesses.check('right', 'right', ['attacker'], now).waitSeconds).toBeGreaterThan(0)
      // A day after their last wait, they are.
      guesses.check('right', 'wrong', ['other'], now + 26 * HOUR)
      expect(rows()).toBe(1)
    }))
})

it('knows the networks around an address', () => {
  expect(networksOf('2001:db8:1:2:3::4')).toEqual(['2001:db8:1:2', '2001:db8:1', '2001:db8'])
  expect(networksOf('192.0.2.7')).toEqual(['192.0.2.7', '192.0.2', '192.0'])
  expect(networksOf(undefined)).toEqual(['unknown'])
})
