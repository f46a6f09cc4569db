import { type Minters, stillGranted } from './minter.ts'
import type { Principal } from './principal.ts'
import type { Scope } from './scopes.ts'

/** A principal as a Durable Object keeps it. */
export type StoredPrincipal = Omit<Principal, 'expiresAt'>

/** Returns what to keep of `principal`, as a copy that can be sent. */
export function storedPrincipal(principal: Principal): StoredPrincipal {
  const { expiresAt: _, ...kept } = principal
  return structuredClone(kept)
}

/**
 * Returns what this principal may do now, or null if its credential is no longer configured or lacks
 * one of `scopes`. A stored principal can outlive the token that created it.
 */
export function presentRights(
  stored: StoredPrincipal,
  minters: Minters,
  scopes: readonly Scope[],
): Principal | null {
  const verdict = stillGranted({ ...stored, expiresAt: Infinity }, minters)
  if (!verdict.ok || !scopes.every((scope) => verdict.principal.scopes.includes(scope))) return null
  return verdict.principal
}
