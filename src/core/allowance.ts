/** After this time, a call starts nothing more. */
const MAX_MILLISECONDS = 20_000

/**
 * What is left of one call: the requests to buckets that its Worker may send, and its time. A file
 * takes its requests before it starts, so that it doesn't fail halfway.
 */
export class Allowance {
  #requests: number
  readonly #end: number

  constructor(requests: number, now = Date.now()) {
    this.#requests = requests
    this.#end = now + MAX_MILLISECONDS
  }

  /** Takes `requests`. Returns false, and takes nothing, if they or the time are used up. */
  take(requests: number): boolean {
    if (requests > this.#requests || Date.now() > this.#end) return false
    this.#requests -= requests
    return true
  }
}
