import { vi } from 'vitest'
import type { FileIndex } from '../../src/records/file-index.ts'

const realTimeout = setTimeout

/** Whatever the Worker waits for in tests with the fake clock: timers and the date. */
export const FAKE_CLOCK: NonNullable<Parameters<typeof vi.useFakeTimers>[0]> = {
  toFake: ['setTimeout', 'clearTimeout', 'Date'],
}

/**
 * Moves the fake clock from timer to timer until `work` ends. Returns its result, and how many
 * seconds of the fake clock that took.
 */
export async function fakeSeconds<T>(work: Promise<T>): Promise<[result: T, seconds: number]> {
  const start = Date.now()
  let isDone = false
  const end = () => {
    isDone = true
  }
  work.then(end, end)
  while (!isDone) {
    // Whatever needs no timer goes first, such as WebCrypto.
    for (let i = 0; i < 5 && !isDone; i++) await new Promise((resolve) => realTimeout(resolve))
    if (!isDone && vi.getTimerCount() > 0) await vi.advanceTimersToNextTimerAsync()
  }
  return [await work, (Date.now() - start) / 1000]
}

/**
 * Returns `index` with the limit of Workers KV: it refuses a second write within a second. Only the
 * wait of 1100 milliseconds for that ends the second, and takes no time.
 */
export function oneWriteASecond(index: FileIndex): FileIndex {
  let hasWritten = false
  const later = setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, wait: number) => {
    if (wait !== 1100) return later(act, wait)
    if (index.isConditional) throw new Error('Nobody has to wait for this index.')
    hasWritten = false
    return later(act, 0)
  }) as typeof setTimeout)
  return {
    ...index,
    async put(file, replaces) {
      // The index repeats the write of a record with an owner.
      if (hasWritten && file.owner === null && !index.isConditional)
        throw new Error('KV PUT failed: 429 Too Many Requests')
      hasWritten = true
      return index.put(file, replaces)
    },
  }
}
