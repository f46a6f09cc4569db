import { exports } from 'cloudflare:workers'
import { type Mock, onTestFinished, vi } from 'vitest'

type Purge = (alias: string, key: string) => Promise<string | null>

const purge: Purge = exports.Objects.purge
let replacement: Purge | undefined

// Once for all files: a stub answers every property, so that V8 no longer finds a property of its
// own that was deleted and defined again, and `vi.spyOn` takes the method for a mock.
Object.defineProperty(exports.Objects, 'purge', {
  value: (...parameters: Parameters<Purge>) => (replacement ?? purge)(...parameters),
})

/**
 * Makes `Objects.purge` reject with `error` the first time it is called in this test. On the stub,
 * because workerd prints the stack of what an entrypoint throws.
 */
export function failNextPurge(error: Error): Mock<Purge> {
  const mock = vi.fn(purge).mockRejectedValueOnce(error)
  replacement = mock
  onTestFinished(() => {
    replacement = undefined
  })
  return mock
}
