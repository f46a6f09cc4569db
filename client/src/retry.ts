import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'

const MAX_RETRIES = 10
/**
 * For an origin that has never responded. It takes at most 3.5 seconds if each try fails at once.
 */
const MAX_FIRST_RETRIES = 3
const LONGEST_FIRST_MILLISECONDS = 5000
const FIRST_PAUSE_MILLISECONDS = 500
const LONGEST_PAUSE_MILLISECONDS = 15_000

/**
 * Runs `act` again after temporary errors: no network, 408, 429, 5xx. Waits longer each time, with
 * jitter, for about a minute in total. While the browser is offline, waits without a limit, and
 * then starts over. Adds the Worker's Retry-After to the wait. Calls `stall` with each error before
 * it waits. Throws the last error, or the reason of `signal`.
 */
export async function withRetries<T>(
  signal: AbortSignal,
  act: () => Promise<T>,
  stall?: Stall,
): Promise<T> {
  let begun = Date.now()
  for (let retry = 0; ; retry++) {
    try {
      signal.throwIfAborted()
      const value = await act()
      stall?.()
      return value
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof PresignerError) || !error.retryable) throw error
      if (retry >= retriesAfter(error, Date.now() - begun)) throw error
      stall?.(error)
      const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** retry, LONGEST_PAUSE_MILLISECONDS)
      await online(signal, error.retryAfter * 1000 + pause * (0.5 + Math.random() / 2))
      if (navigator.onLine) continue
      await online(signal)
      retry = -1
      begun = Date.now()
    }
  }
}

const retriesAfter = ({ code }: PresignerError, milliseconds: number): number =>
  code !== 'unreachable'
    ? MAX_RETRIES
    : milliseconds > LONGEST_FIRST_MILLISECONDS
      ? 0
      : MAX_FIRST_RETRIES

/**
 * Resolves when the browser is online again, or after `milliseconds`. Rejects with the reason of
 * `signal`.
 */
const online = (signal: AbortSignal, milliseconds?: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const over = new AbortController()
    const done = () => {
      clearTimeout(timer)
      over.abort()
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    const timer = milliseconds === undefined ? 0 : setTimeout(done, milliseconds)
    const options = { signal: over.signal }
    signal.addEventListener('abort', done, options)
    addEventListener('online', done, options)
  })
