import { reset } from 'cloudflare:test'
import { afterAll, vi } from 'vitest'

/**
 * Leaves nothing to the next file, as all of them run in one workerd: KV and the cache are empty,
 * and clock, globals and methods are the real ones again.
 */
afterAll(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  await reset()
})
