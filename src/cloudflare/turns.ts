/** The turn of one request, to do work that other requests of this isolate wait for. */
export interface Turn {
  /** Nobody waits longer, since the runtime may cancel a request without a trace. */
  readonly until: number
  /** Whether the bucket's response has begun. */
  hasAnswer: boolean
  /** Why the work failed, for those who wait. */
  failure?: { readonly error: unknown }
}

/** The turns for one kind of work, by its name. */
export class Turns {
  readonly #turns = new Map<string, Turn>()

  /** Returns the turn of the request that does this work now. */
  find(name: string): Turn | undefined {
    const turn = this.#turns.get(name)
    return turn?.failure === undefined && Date.now() < (turn?.until ?? 0) ? turn : undefined
  }

  begin(name: string, until: number): Turn {
    const turn = { until, hasAnswer: false }
    this.#turns.set(name, turn)
    return turn
  }

  end(name: string, turn: Turn): void {
    if (this.#turns.get(name) === turn) this.#turns.delete(name)
  }

  /** Separates later requests from the turns whose names start like this. */
  forget(start: string): void {
    for (const name of this.#turns.keys()) if (name.startsWith(start)) this.#turns.delete(name)
  }
}

/** Does the work of a turn. Its error is also that of the requests that wait. */
export async function lead<T>(turn: Turn, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    turn.failure = { error }
    throw error
  }
}

/**
 * Waits for the turn of another request, and throws the error that ended it. Each waiter has its own
 * timer, since the runtime ties a promise to the request that created it.
 */
export async function awaitTurn(other: Turn, milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds))
  if (other.failure !== undefined) throw other.failure.error
}
