import type { Principal } from './principal.ts'

/**
 * What a check of credentials finds. `reason` is for the log alone: the client gets 401 only.
 */
export type Verdict =
  | { readonly ok: true; readonly principal: Principal }
  | { readonly ok: false; readonly reason: string }
