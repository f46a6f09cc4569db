import { afterAll, vi } from 'vitest'

/**
 * Brings the real clock, globals and methods back after each file, as the next one runs in the same
 * process.
 */
afterAll(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})
