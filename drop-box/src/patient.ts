import type { Api } from '../../client/src/api.ts'
import { PresignerError } from '../../client/src/presigner-error.ts'

const LONGEST_SECONDS = 60

/** Requests that wait, because the sender has too many unfinished files. */
export interface Patience {
  /** Returns `api`, which waits as long as the server asks for, and tries again. */
  readonly patient: (api: Api) => Api
  /** Lets the waiting requests try now, because a file has ended. */
  readonly wake: () => void
}

export function createPatience(): Patience {
  const sleepers = new Set<() => void>()

  const sleep = (seconds: number, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        sleepers.delete(end)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, seconds * 1000)
      sleepers.add(end)
      signal?.addEventListener('abort', end)
    })

  return {
    patient: (api) => async (check, method, path, request) => {
      for (;;) {
        request?.signal?.throwIfAborted()
        try {
          return await api(check, method, path, request)
        } catch (error) {
          if (!(error instanceof PresignerError) || error.status !== 429) throw error
          request?.stall?.(error)
          const seconds = Math.min(Math.max(error.retryAfter, 1), LONGEST_SECONDS)
          // Several files that wait must not all try at the same moment.
          await sleep(seconds * (1 + Math.random() / 4), request?.signal)
        }
      }
    },
    wake() {
      for (const end of [...sleepers]) end()
    },
  }
}
