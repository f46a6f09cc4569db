import type { Call } from './call.ts'
import { PresignerError } from './presigner-error.ts'
import { anySignal, unlessAborted } from './signals.ts'

/** A call that is killed keeps its keys for five minutes. */
const LONGEST_WAIT_SECONDS = 60
const MAX_TRIES = 8

/**
 * Returns `call` for copies and moves: while another one uses one of its keys, it waits as long as the
 * API says, and sends the request again. `over` ends the wait.
 */
export const whenFree =
  (call: Call, over?: AbortSignal): Call =>
  async (...request) => {
    for (let tries = 1; ; tries++)
      try {
        return await call(...request)
      } catch (error) {
        const isBusy =
          error instanceof PresignerError && error.code === 'unavailable' && !error.deleted
        const seconds = isBusy ? error.retryAfter : 0
        if (!seconds || seconds > LONGEST_WAIT_SECONDS || tries === MAX_TRIES) throw error
        const pause = new Promise((resolve) => setTimeout(resolve, seconds * 1000))
        await unlessAborted(pause, anySignal(request[3]?.signal, over))
      }
  }
