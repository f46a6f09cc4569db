import { reset } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { runs } from '../../support/fuzz.ts'
import { type Kind, World } from './world.ts'

/** `npm run fuzz` runs 2,000 operations for each of five seeds. */
const OPERATIONS = runs(1) > 1 ? 2000 : 400
const SEEDS = runs(1) > 1 ? [1, 2, 3, 4, 5] : [1, 2]

afterEach(async () => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  await reset()
})

describe.each<Kind>(['D1', 'KV'])('with %s, after one walk,', (kind) => {
  // @threat owner-lost
  it.each(SEEDS)(
    'index and bucket agree, and no owner is lost, whatever happened before: seed %i',
    async (seed) => {
      const world = new World(seed, kind)
      const { setTimeout: later } = globalThis
      // Workers KV refuses two writes within a second, and its driver waits that long.
      vi.spyOn(globalThis, 'setTimeout').mockImplementation(((act: () => void, wait = 0) => {
        if (wait !== 1100) return later(act, wait)
        world.schedule.now += 1100
        return later(act, 0)
      }) as typeof setTimeout)
      await world.run(OPERATIONS)
      await world.walk()
      expect(await world.problems(), `seed ${seed}`).toEqual([])
      expect(world.accepted.size).toBeGreaterThan(3)
    },
  )
})
