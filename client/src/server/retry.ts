import { PresignerError } from '../presigner-error.ts'
import { unlessAborted } from '../signals.ts'

/** Together about 25 seconds, without Retry-After. */
const MAX_RETRIES = 6
const FIRST_PAUSE_MILLISECONDS = 500
const LONGEST_PAUSE_MILLISECONDS = 15_000
/** If a server asks for a longer wait, the caller decides. */
const LONGEST_RETRY_AFTER_SECONDS = 60

/**
 * Runs `act` again after a temporary error that `mayRepeat` accepts. Waits longer each time, with
 * jitter, and at least as long as Retry-After says. Throws the last error, or the reason of
 * `signal`.
 */
export async function withRetries<T>(
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
  mayRepeat: (error: PresignerError) => boolean = ({ retryable }) => retryable,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    signal?.throwIfAborted()
    try {
      return await act()
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof PresignerError) || !mayRepeat(error) || retry === MAX_RETRIES)
        throw error
      if (error.retryAfter > LONGEST_RETRY_AFTER_SECONDS) throw error
      const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** retry, LONGEST_PAUSE_MILLISECONDS)
      await sleep(error.retryAfter * 1000 + pause * (0.5 + Math.random() / 2), signal)
    }
  }
}

/**
 * Tells whether the server did nothing: it refused the request, or the request never reached it. So
 * even a request that isn't idempotent can be sent again.
 */
export const wasRefused = (error: PresignerError): boolean =>
  error.retryable &&
  // A part of the Worker didn't answer in time, and may have done what it was asked.
  error.reason !== 'state' &&
  ([429, 503].includes(error.status) || UNSENT.includes(reasonOf(error.cause)))

/** The codes of Node, Bun and Deno for a connection that was never made. */
const UNSENT: readonly unknown[] = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ConnectionRefused']

/** Returns the runtime's code for a connection that failed, such as `ECONNREFUSED`. */
export const reasonOf = (error: unknown): unknown =>
  error instanceof Error
    ? (Reflect.get(error, 'code') ?? reasonOf(Reflect.get(error, 'cause')))
    : undefined

/** Returns the seconds of a Retry-After header, which has a number or a date; 0 without one. */
export function retryAfterOf({ headers }: Response): number {
  const value = headers.get('Retry-After') ?? ''
  const seconds = Number(value) || (Date.parse(value) - Date.now()) / 1000
  return Math.max(0, seconds) || 0
}

/** Resolves after `milliseconds`. Throws the reason of `signal`. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let wake = () => {}
  const timer = setTimeout(() => wake(), milliseconds)
  const over = new Promise<void>((resolve) => {
    wake = resolve
  })
  return unlessAborted(over, signal).finally(() => clearTimeout(timer))
}
