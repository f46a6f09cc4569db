import { describe, expect, it } from 'vitest'
import { Guesses, type Kv } from '../../src/state/guesses.ts'

/** A storage in memory that copies what it keeps, as that of a Durable Object does. */
function memoryKv(): Kv {
  const values = new Map<string, unknown>()
  return {
    get: <T>(key: string) => structuredClone(values.get(key)) as T | undefined,
    put: (key, value) => void values.set(key, structuredClone(value)),
    delete: (key) => values.delete(key),
  }
}

const START = Date.parse('2026-11-24T12:00:00Z')

describe('guesses of a password', () => {
  it('are free three times, and then wait twice as long each time, up to an hour', () => {
    const guesses = new Guesses(memoryKv())
    const waits: number[] = []
    let now = START
    for (let i = 0; i < 18; i++) {
      const wait = guesses.secondsLeft('home', now)
      waits.push(wait)
      now += wait * 1000
      expect(guesses.secondsLeft('home', now)).toBe(0)
      guesses.count('home', false, now)
    }
    const doubling = Array.from({ length: 12 }, (_, i) => 2 ** i)
    expect(waits).toEqual([0, 0, 0, 0, ...doubling, 3600, 3600].slice(0, 18))
  })

  it('of one network delay no other one', () => {
    const guesses = new Guesses(memoryKv())
    for (let i = 0; i < 10; i++) guesses.count('attacker', false, START)
    expect(guesses.secondsLeft('attacker', START)).toBeGreaterThan(0)
    expect(guesses.secondsLeft('recipient', START)).toBe(0)
  })

  it('start anew after a right one', () => {
    const guesses = new Guesses(memoryKv())
    for (let i = 0; i < 4; i++) guesses.count('home', false, START)
    expect(guesses.secondsLeft('home', START)).toBe(1)
    guesses.count('home', true, START)
    expect(guesses.secondsLeft('home', START)).toBe(0)
    guesses.count('home', false, START)
    expect(guesses.secondsLeft('home', START)).toBe(0)
  })

  it('of very many networks take bounded space, and forget the one that may guess first', () => {
    const kv = memoryKv()
    const guesses = new Guesses(kv)
    for (let i = 0; i < 8; i++) guesses.count('attacker', false, START)
    for (let i = 0; i < 700; i++) guesses.count(`network ${i}`, false, START)
    expect(kv.get<Map<string, unknown>>('guesses')?.size).toBe(500)
    expect(guesses.secondsLeft('attacker', START)).toBe(16)
  })
})
