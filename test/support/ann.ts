import { SCOPES } from '../../src/access/scopes.ts'

/** A principal that may do everything to every key. */
export const ANN = { id: 'ann', scopes: SCOPES, prefix: '' } as const
