import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const MIB = 1024 ** 2

it('keeps four parts of a stream in memory, once each', async () => {
  const script = join(import.meta.dirname, 'client/held-bytes.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script])
  const held: number[] = JSON.parse(stdout)
  expect(held).toHaveLength(8)
  // Four parts of 8 MiB, and what is on its way in the sockets.
  for (const bytes of held.slice(0, 5)) {
    expect(bytes).toBeGreaterThan(31 * MIB)
    expect(bytes).toBeLessThan(36 * MIB)
  }
  expect(held.at(-1)).toBeLessThan(12 * MIB)
})
