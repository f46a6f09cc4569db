import { vi } from 'vitest'

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
