import { vi } from 'vitest'

/** An endpoint that nothing can connect to after `stubUnreachable` was called. */
export const UNREACHABLE = 'http://unreachable.example'

/**
 * Makes each fetch of `UNREACHABLE` fail with an error that contains the whole URL, until
 * `vi.restoreAllMocks()`. A closed port would also fail, but workerd then prints a stack.
 */
export function stubUnreachable(): void {
  const { fetch } = globalThis
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const { url } = new Request(input)
    if (url.startsWith(UNREACHABLE)) throw new TypeError(`Network connection lost: ${url}`)
    return fetch(input, init)
  })
}
