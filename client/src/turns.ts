/**
 * Runs `act` when a file of `size` bytes may begin, at once if possible. If `signal` aborts before,
 * also runs it, since what is canceled deletes what an earlier try has left.
 */
export type InTurn = <T>(
  size: number,
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
) => Promise<T>

/** Returns a function that runs at most `mostFiles` and `mostBytes` at the same time, or one file. */
export function createTurns(mostFiles: number, mostBytes = Infinity): InTurn {
  const waiting = new Map<() => void, number>()
  let files = 0
  let bytes = 0
  const next = (): void => {
    for (const [begin, size] of waiting) {
      if (files > 0 && (files >= mostFiles || bytes + size > mostBytes)) return
      waiting.delete(begin)
      begin()
    }
  }
  return async (size, signal, act) => {
    let hasTurn = false
    await new Promise<void>((resolve) => {
      const begin = () => {
        signal?.removeEventListener('abort', cancel)
        hasTurn = true
        files++
        bytes += size
        resolve()
      }
      const cancel = () => {
        if (waiting.delete(begin)) next()
        resolve()
      }
      waiting.set(begin, size)
      signal?.addEventListener('abort', cancel)
      if (signal?.aborted) cancel()
      else next()
    })
    try {
      return await act()
    } finally {
      if (hasTurn) {
        files--
        bytes -= size
        next()
      }
    }
  }
}
