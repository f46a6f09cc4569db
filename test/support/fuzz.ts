import fc from 'fast-check'
import { inject } from 'vitest'

/** Returns how many examples a property test tries: `usual`, or more under `npm run fuzz`. */
export const runs = (usual: number): number => usual * inject('fuzzFactor')

/** Returns how many hostile requests `test/fuzz/` sends. */
export const requests = (): number => inject('hostileRequests')

fc.configureGlobal({ numRuns: runs(100) })
