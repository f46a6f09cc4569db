import { afterAll, vi } from 'vitest'

/**
 * Restores the real clock, globals and methods after each file, because the next file runs in the
 * same process.
 */
afterAll(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})
