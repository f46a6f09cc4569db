import { ApiError } from '../errors/api-error.ts'
import type { ObjectKey } from '../keys/object-key.ts'
import type { Scope } from './scopes.ts'

/** Who asks, and how far they may go. */
export interface Principal {
  /** For records and logs. */
  readonly id: string
  readonly scopes: readonly Scope[]
  /** Empty (everything), or ends with `/`. */
  readonly prefix: string
  /** When the credentials end, in milliseconds since 1970; infinite for an API key. */
  readonly expiresAt: number
}

/** Throws `forbidden` unless the principal has `scope`. */
export function requireScope({ scopes }: Principal, scope: Scope): void {
  if (!scopes.includes(scope)) throw new ApiError('forbidden', `This needs the scope ${scope}.`)
}

/** Throws `forbidden` unless the principal has `scope` and `key` lies under its prefix. */
export function requireKey(principal: Principal, scope: Scope, key: ObjectKey): void {
  requireScope(principal, scope)
  requirePrefix(principal, key)
}

/**
 * Throws `forbidden` unless everything that starts with `prefix` lies under the principal's own
 * prefix.
 */
export function requirePrefix(principal: Principal, prefix: string): void {
  if (!prefix.startsWith(principal.prefix))
    throw new ApiError('forbidden', 'This lies outside of the prefix that you may use.')
}
