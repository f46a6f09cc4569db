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
 * One request's flight to do work that others of this isolate wait for. It needs `waitUntil`: the
 * runtime cancels a request whose client leaves, without `finally`. So a flight also ends at a time.
 */
export class Flight<T = void> {
  readonly #startedAt = Date.now()
  /** Milliseconds since 1970. Nobody waits longer. */
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

  /** Ends the flight. Nobody begins to wait after that. */
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

  /** Waits for the end of the flight, at most for this time. */
  async ended(milliseconds: number): Promise<void> {
    await within(milliseconds, this.#end.promise).catch(() => undefined)
  }
}

/** The flights for one kind of work, by its name. */
export class SingleFlight<T = void> {
  readonly #flights = new Map<string, Flight<T>>()

  /** Returns the flight of the request that does this work now. */
  find(name: string): Flight<T> | undefined {
    const flight = this.#flights.get(name)
    return flight?.isOn ? flight : undefined
  }

  begin(name: string, until: number): Flight<T> {
    const flight = new Flight<T>(until)
    this.#flights.set(name, flight)
    return flight
  }

  /** Tells whether later requests would wait for this flight. */
  holds(name: string, flight: Flight<T>): boolean {
    return this.#flights.get(name) === flight
  }

  end(name: string, flight: Flight<T>): void {
    flight.end()
    if (this.holds(name, flight)) this.#flights.delete(name)
  }

  /** Forgets flights whose names start with `start`: later requests begin other ones. */
  forget(start: string): void {
    for (const name of this.#flights.keys()) if (name.startsWith(start)) this.#flights.delete(name)
  }
}

/** Does the work of a flight. Its error is also that of the requests that wait. */
export async function lead<R, T>(flight: Flight<T>, work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    flight.fail(error)
    throw error
  }
}
