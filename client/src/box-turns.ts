import type { DropBoxTerms } from './sharing-responses.ts'

/** How many unfinished files the API allows one sender. */
const MOST_FILES = 4

/**
 * Runs `act` when a file of `size` bytes may begin, at once if possible. If `signal` aborts before that,
 * runs `cancel`, and throws its reason.
 */
export type InTurn = <T>(
  size: number,
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
  cancel: () => void,
) => Promise<T>

/**
 * Starts the uploads to a box in turn, so that they reserve no more than one sender may: four files,
 * and half of the box. The API would refuse more of them for up to a minute, even if one ends sooner.
 */
export function createTurns({ maxFiles, maxTotalBytes }: DropBoxTerms): InTurn {
  const most = Math.min(MOST_FILES, Math.ceil(maxFiles / 2))
  const waiting = new Map<() => void, number>()
  let files = 0
  let bytes = 0
  const next = (): void => {
    for (const [begin, size] of waiting) {
      if (files > 0 && (files >= most || bytes + size > maxTotalBytes / 2)) return
      waiting.delete(begin)
      files++
      bytes += size
      begin()
    }
  }
  return async (size, signal, act, cancel) => {
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const begin = () => {
        act()
          .then(resolve, reject)
          .finally(() => {
            files--
            bytes -= size
            next()
          })
      }
      signal?.addEventListener('abort', () => {
        if (!waiting.delete(begin)) return
        reject(signal.reason)
        cancel()
        next()
      })
      waiting.set(begin, size)
      next()
    })
  }
}
