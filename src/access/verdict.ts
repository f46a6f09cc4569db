import type { Principal } from './principal.ts'

/**
 * What a check of credentials finds. `reason` is for the log alone: the wire says 401 and no more.
 */
export type Verdict =
  | { readonly ok: true; readonly principal: Principal }
  | { readonly ok: false; readonly reason: string }
