import { ApiError } from '../../../src/errors/api-error.ts'

export const NOON = Date.UTC(2026, 10, 24, 12)
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
  readonly running = new Set<string>()
  readonly #waiting: (() => void)[] = []
  /** SingleFlight that are left to operations that will be killed. */
  readonly #turns = new Map<string, number>()
  #serial = 0
  /** How much time passes in a turn, at most: much happens within a minute, or little. */
  #pace = MINUTE / 3
  /** Answers of databases that are under way. */
  #pending = 0

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

  /** Waits for the answer of a database. Nobody else goes on before. */
  async answered<T>(work: () => Promise<T>): Promise<T> {
    this.#pending += 1
    try {
      return await work()
    } finally {
      this.#pending -= 1
    }
  }

  /** Begins an operation, which may fail as its requests do. With `turns`, it is killed after so many. */
  begin(act: (id: string) => Promise<void>, turns?: number): void {
    const id = `op${this.#serial++}`
    this.running.add(id)
    if (turns !== undefined) this.#turns.set(id, turns)
    const end = () => void this.running.delete(id)
    act(id).then(end, (error) => {
      end()
      if (!(error instanceof ApiError)) throw error
    })
  }

  /** Waits for a turn. Never comes back for a killed operation. */
  async turn(id: string): Promise<void> {
    if (this.isCalm) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const turns = this.#turns.get(id)
    if (turns === undefined) return
    this.#turns.set(id, turns - 1)
    if (turns > 0) return
    this.running.delete(id)
    await new Promise(() => {})
  }

  /** Lets one operation go on, and time pass: mostly seconds, and sometimes more than an hour. */
  async next(): Promise<void> {
    for (let last = -1; last !== this.#waiting.length || this.#pending > 0; ) {
      last = this.#waiting.length
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    this.#waiting.splice(Math.floor(this.random() * this.#waiting.length), 1)[0]?.()
    const isLong = this.random() < 0.005
    if (this.random() < 0.01) this.#pace = this.pick([MINUTE / 30, MINUTE / 3])
    this.now += Math.floor(this.random() * (isLong ? 70 * MINUTE : this.#pace))
  }
}
