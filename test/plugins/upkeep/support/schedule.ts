import { ApiError } from '../../../../src/errors/api-error.ts'
import { NOON } from './walks.ts'

const MINUTE = 60_000

/** Returns numbers from 0 to 1, always the same ones for a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A step of the walk, a writer, or one for whom the walk waits. */
type Kind = 'walk' | 'writer' | 'rival'

/** An operation of a writer, or a step of the walk. */
export interface Operation {
  readonly id: string
  readonly kind: Kind
  /** Keys that it has asked for, or changed. */
  readonly touched: Set<string>
  /** Resolves when it ends or is killed. */
  readonly ended: Promise<void>
}

/**
 * Operations at a simulated time. Each waits before each of its requests, until the schedule lets one of all
 * that wait go on, which it chooses by its seed.
 */
export class Schedule {
  /** In milliseconds since 1970. */
  now = NOON
  /** Whether nobody waits, and nothing fails. */
  isCalm = false
  readonly random: () => number
  readonly running = new Map<string, Operation>()
  readonly #waiting: (() => void)[] = []
  /** Turns that are left to operations that will be killed. */
  readonly #turns = new Map<string, number>()
  readonly #ends = new Map<string, () => void>()
  #serial = 0

  constructor(seed: number) {
    this.random = randomOf(seed)
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random() * items.length)]
    if (item === undefined) throw new Error('There is nothing to choose from.')
    return item
  }

  /** Tells whether the next request fails. */
  fails = (): boolean => !this.isCalm && this.random() < 0.01

  /** Begins an operation, which may fail as its requests do. With `turns`, it is killed after so many. */
  begin(act: (id: string) => Promise<void>, kind: Kind, turns?: number): Operation {
    const id = `op${this.#serial++}`
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const operation: Operation = { id, kind, touched: new Set(), ended }
    const end = () => {
      this.running.delete(id)
      resolve()
    }
    this.running.set(id, operation)
    this.#ends.set(id, end)
    if (turns !== undefined) this.#turns.set(id, turns)
    act(id).then(end, (error) => {
      end()
      if (!(error instanceof ApiError)) throw error
    })
    return operation
  }

  /** Waits for a turn. Never comes back for a killed operation. */
  async turn(id: string): Promise<void> {
    if (this.isCalm) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const turns = this.#turns.get(id)
    if (turns === undefined) return
    this.#turns.set(id, turns - 1)
    if (turns > 0) return
    this.#ends.get(id)?.()
    await new Promise(() => {})
  }

  /** Lets one operation go on, and time pass: mostly seconds, and sometimes up to an hour. */
  async next(): Promise<void> {
    for (let last = -1; last !== this.#waiting.length; ) {
      last = this.#waiting.length
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    this.#waiting.splice(Math.floor(this.random() * this.#waiting.length), 1)[0]?.()
    const isLong = this.random() < 0.005
    this.now += Math.floor(this.random() * (isLong ? 70 * MINUTE : MINUTE / 3))
  }
}
