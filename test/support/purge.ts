import { exports } from 'cloudflare:workers'
import { type Mock, onTestFinished, vi } from 'vitest'

type Purge = (alias: string, keys: readonly string[]) => Promise<string | null>

const purge: Purge = exports.Objects.purge
let replacement: Purge | undefined

// Once for all files: a stub answers every property, so V8 no longer finds its own property after
// it was deleted and defined again, and `vi.spyOn` treats the method as a mock.
Object.defineProperty(exports.Objects, 'purge', {
  value: (...parameters: Parameters<Purge>) => (replacement ?? purge)(...parameters),
})

/**
 * Makes the next call of `Objects.purge` in this test reject with `error`. It replaces the stub's
 * method, because workerd prints the stack of what an entrypoint throws.
 */
export function failNextPurge(error: Error): Mock<Purge> {
  return replace(vi.fn(purge).mockRejectedValueOnce(error))
}

/** Makes the next call of `Objects.purge` in this test hang. */
export function hangNextPurge(): Mock<Purge> {
  return replace(vi.fn(purge).mockReturnValueOnce(new Promise(() => {})))
}

function replace(mock: Mock<Purge>): Mock<Purge> {
  replacement = mock
  onTestFinished(() => {
    replacement = undefined
  })
  return mock
}
