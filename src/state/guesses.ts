/** The synchronous storage of a Durable Object. */
export interface Kv {
  get<T>(key: string): T | undefined
  put<T>(key: string, value: T): void
  delete(key: string): boolean
}

/** Wrong guesses of one network, and when it may guess again, in milliseconds since 1970. */
interface Wrong {
  readonly count: number
  readonly until: number
}

const KEY = 'guesses'
/** Wrong guesses without a delay. */
const FREE_GUESSES = 3
const MAX_DELAY_SECONDS = 3600
/** Networks that are remembered. Above that, the one that may guess again first is forgotten. */
const MAX_NETWORKS = 500

/**
 * Limits guesses of a password for each network, so that nobody locks out the recipient. All methods
 * are synchronous: in a Durable Object, no other request runs between them.
 */
export class Guesses {
  readonly #kv: Kv

  constructor(kv: Kv) {
    this.#kv = kv
  }

  /** Returns the seconds until `network` may guess, or 0. */
  secondsLeft(network: string, now: number): number {
    const until = this.#all().get(network)?.until ?? 0
    return Math.max(0, Math.ceil((until - now) / 1000))
  }

  /** Counts a guess, and delays the next one. Right ones don't count. */
  count(network: string, isRight: boolean, now: number): void {
    const all = this.#all()
    const count = (all.get(network)?.count ?? 0) + 1
    all.delete(network)
    if (!isRight) {
      if (all.size >= MAX_NETWORKS) all.delete(firstToEnd(all))
      all.set(network, { count, until: now + 1000 * delayAfter(count) })
    }
    this.#kv.put(KEY, all)
  }

  #all(): Map<string, Wrong> {
    return this.#kv.get<Map<string, Wrong>>(KEY) ?? new Map()
  }
}

/** Returns seconds: 0, 0, 0, 1, 2, 4 … 3600. */
const delayAfter = (count: number): number =>
  count <= FREE_GUESSES ? 0 : Math.min(MAX_DELAY_SECONDS, 2 ** (count - FREE_GUESSES - 1))

const firstToEnd = (all: ReadonlyMap<string, Wrong>): string =>
  [...all].reduce((first, other) => (other[1].until < first[1].until ? other : first))[0]
