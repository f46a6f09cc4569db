import { deadlineOf, NO_DEADLINE, outOfTime, within } from './deadline.ts'

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/** How far the clocks of two requests of an isolate may be apart: each stands still between I/O. */
const SKEW_MILLISECONDS = 1000

/** Tells whether `time` was in the last `milliseconds`. The clock may have been set back since. */
export function isSince(time: number, milliseconds: number): boolean {
  const age = Date.now() - time
  return age > -SKEW_MILLISECONDS && age < milliseconds
}

/**
 * One request's turn to do work that others of this isolate wait for. It needs `waitUntil`: the
 * runtime cancels a request whose client leaves, without `finally`. So a turn also ends at a time.
 */
export class Turn<T = void> {
  readonly #startedAt = Date.now()
  /** Nobody waits longer. */
  #until: number
  readonly #outcome = Promise.withResolvers<Outcome<T> | null>()
  readonly #end = Promise.withResolvers<void>()

  constructor(until: number) {
    this.#until = until
  }

  /** Whether others should wait for it. */
  get isOn(): boolean {
    return isSince(this.#startedAt, this.#until - this.#startedAt)
  }

  /** Gives those who wait a result. */
  succeed(value: T): void {
    this.#outcome.resolve({ value })
  }

  /** Gives those who wait an error. Nobody begins to wait after that. */
  fail(error: unknown): void {
    this.#until = 0
    this.#outcome.resolve({ error })
  }

  /** Ends the turn. Nobody begins to wait after that. */
  end(): void {
    this.#until = 0
    this.#outcome.resolve(null)
    this.#end.resolve()
  }

  /**
   * Waits for another request's result, or null if it is lost or has none. Throws its error, or
   * `late()` at the deadline of `now`. The waiting request's own timer works if the other was
   * cancelled.
   */
  async wait(
    now = NO_DEADLINE,
    late: () => Error = outOfTime,
  ): Promise<{ readonly value: T } | null> {
    const milliseconds = Math.min(this.#until, deadlineOf(now)) - Date.now()
    const outcome = await within(milliseconds, this.#outcome.promise).catch(() => null)
    if (outcome === null && Date.now() >= deadlineOf(now)) throw late()
    if (outcome !== null && 'error' in outcome) throw outcome.error
    return outcome
  }

  /** Waits for the end of the turn, at most for this time. */
  async ended(milliseconds: number): Promise<void> {
    await within(milliseconds, this.#end.promise).catch(() => undefined)
  }
}

/** The turns for one kind of work, by its name. */
export class Turns<T = void> {
  readonly #turns = new Map<string, Turn<T>>()

  /** Returns the turn of the request that does this work now. */
  find(name: string): Turn<T> | undefined {
    const turn = this.#turns.get(name)
    return turn?.isOn ? turn : undefined
  }

  begin(name: string, until: number): Turn<T> {
    const turn = new Turn<T>(until)
    this.#turns.set(name, turn)
    return turn
  }

  /** Tells whether later requests would wait for this turn. */
  holds(name: string, turn: Turn<T>): boolean {
    return this.#turns.get(name) === turn
  }

  end(name: string, turn: Turn<T>): void {
    turn.end()
    if (this.holds(name, turn)) this.#turns.delete(name)
  }

  /** Separates later requests from the turns whose names start like this. */
  forget(start: string): void {
    for (const name of this.#turns.keys()) if (name.startsWith(start)) this.#turns.delete(name)
  }
}

/** Does the work of a turn. Its error is also that of the requests that wait. */
export async function lead<R, T>(turn: Turn<T>, work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    turn.fail(error)
    throw error
  }
}
