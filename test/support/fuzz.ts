import fc from 'fast-check'
import { inject } from 'vitest'

/** Returns how many examples a property test tries: `usual`, or more under `npm run fuzz`. */
export const runs = (usual: number): number => usual * inject('fuzzFactor')

fc.configureGlobal({ numRuns: runs(100) })
