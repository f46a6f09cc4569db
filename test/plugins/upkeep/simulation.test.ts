import { afterEach, expect, it, vi } from 'vitest'
import { runs } from '../../support/fuzz.ts'
import { HOURS_BEFORE, Simulation } from './support/simulation.ts'
import { NOON } from './support/walks.ts'

afterEach(() => void vi.unstubAllGlobals())

/** `npm run fuzz` runs 2,000 operations. */
const OPERATIONS = runs(1) > 1 ? 2000 : 120
/** Together, two notice early records, and objects that vanish or come back. */
const SEEDS = runs(1) > 1 ? [1, 2, 5] : [1, 5]

it.each(SEEDS)(
  'index and bucket agree after upkeep, whatever writers, failures and kills leave behind: seed %s',
  async (seed) => {
    const simulation = new Simulation(seed)
    for (const key of ['others/a', 'others/b', 'uploads/not-ours.txt'])
      simulation.foreign.set(key, simulation.bucket.put(key, NOON))
    simulation.bucket.uploads.push({ key: 'others/c', id: 'other', time: NOON })
    for (let i = 0; i < 12; i++) await simulation.age()
    await simulation.run(OPERATIONS, 5)
    // Old uploads in parts are aborted after eight days.
    await simulation.upkeep(HOURS_BEFORE + 9 * 24)
    expect(await simulation.problems(), `seed ${seed}`).toEqual([])
    expect(simulation.bucket.uploads).toHaveLength(1)
    expect(simulation.totals.recorded).toBeGreaterThan(0)
    expect(simulation.accepted.size).toBeGreaterThan(0)
  },
)
