import type { ErrorCode } from './error-code.ts'
import { PresignerError } from './presigner-error.ts'

const MAX_RETRIES = 10
const FIRST_PAUSE_MILLISECONDS = 500
const LONGEST_PAUSE_MILLISECONDS = 15_000
/** Errors with a status of 500 and more that waiting does not mend. */
const LASTING: readonly ErrorCode[] = ['misconfigured', 'credentials_expired', 'not_supported']

/**
 * Runs `act` again after faults that may pass: no network, 408, 429, 5xx. It waits longer each
 * time, with jitter, about a minute in all, and without a limit while the browser is offline. Where
 * the Worker says how long to wait, it waits that long too. Throws the last fault, or the reason of
 * `signal`.
 */
export async function withRetries<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  for (let retry = 0; ; retry++) {
    let retryAfter: number
    try {
      signal.throwIfAborted()
      return await act()
    } catch (error) {
      signal.throwIfAborted()
      if (retry === MAX_RETRIES || !mayPass(error)) throw error
      retryAfter = error.retryAfter * 1000
    }
    const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** retry, LONGEST_PAUSE_MILLISECONDS)
    await until(signal, (done) => setTimeout(done, retryAfter + pause * (0.5 + Math.random() / 2)))
    if (!navigator.onLine)
      await until(signal, (done) => addEventListener('online', done, { once: true }))
  }
}

const mayPass = (error: unknown): error is PresignerError =>
  error instanceof PresignerError &&
  !LASTING.includes(error.code) &&
  (error.code === 'network' ||
    [408, 429].includes(error.status) ||
    (error.status >= 500 && error.status !== 501))

/** Resolves when `start`'s callback is called. Rejects with the reason of `signal`. */
const until = (signal: AbortSignal, start: (done: () => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    start(resolve)
  })
