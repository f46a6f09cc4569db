/** For `vi.waitFor` and `vi.waitUntil`, whose own limit is a second: a busy machine needs more. */
export const PATIENCE = { timeout: 240_000 }
