import type { Principal } from './principal.ts'
import type { Scope } from './scopes.ts'
import { loggable, refuse, type Verdict } from './verdict.ts'

/** What a credential may do. A member that it doesn't have doesn't limit it. */
export interface Granted {
  readonly prefix: string
  readonly scopes?: readonly Scope[] | undefined
  readonly buckets?: readonly string[] | undefined
}

/**
 * Returns what the credential with this id, such as `key:ci`, may do. The answer also applies to
 * ids below it, such as `key:ci/alice`. Null refuses everything that the credential has signed.
 * Undefined leaves the answer to other plugins. If none answers, API keys and JWTs are refused.
 */
export type Minter = (id: string) => Granted | null | undefined

/** What decides which credentials there are, and what they may do. */
export interface Minters {
  readonly minters: readonly Minter[]
  readonly openOnLocalhost: boolean
}

/** For an app's own users. */
const EVERYTHING: Granted = { prefix: '' }

/**
 * Returns the rights that remain to `principal`, named by a token, a form or an upload step: the
 * scopes and buckets that its credential still has. Refuses it if the credential is no longer
 * configured, or its prefix no longer contains that of `principal`. A JWT's own claims are unknown
 * here. If nothing has changed, returns the same object.
 */
export function stillGranted(principal: Principal, minters: Minters): Verdict {
  // Ids of users may have slashes. Other ids end with the subject of a token.
  const [id = ''] = /^(?:(?:app|jwt):.*|[^/]*)/.exec(principal.id) ?? []
  const granted = grantedTo(id, minters)
  if (!granted) return refuse('token minter not configured', loggable(id))
  // A plugin may return anything, and no key starts with a slash.
  if (!principal.prefix.startsWith(granted.prefix ?? '/'))
    return refuse('token outside the prefix of its minter', loggable(id))
  const { limits } = principal
  const scopes = common(principal.scopes, granted.scopes)
  const buckets = common(limits.buckets ?? granted.buckets ?? null, granted.buckets)
  if (scopes === principal.scopes && buckets === limits.buckets) return { ok: true, principal }
  return { ok: true, principal: { ...principal, scopes, limits: { ...limits, buckets } } }
}

function grantedTo(id: string, { minters, openOnLocalhost }: Minters): Granted | null {
  for (const minter of minters) {
    const granted = minter(id)
    if (granted !== undefined) return granted
  }
  // No longer configured, or of a plugin that this presigner doesn't have.
  if (/^(?:key|jwt):/.test(id)) return null
  return id === 'localhost' && !openOnLocalhost ? null : EVERYTHING
}

/** Returns the items of `own` that are also in `allowed`: the same list if these are all. */
const common = <T, Own extends readonly T[] | null>(
  own: Own,
  allowed: readonly T[] | undefined,
): Own | readonly T[] =>
  !own || !allowed || own.every((item) => allowed.includes(item))
    ? own
    : own.filter((item) => allowed.includes(item))
