import type { Principal } from './principal.ts'
import type { ApiKey, JwtSettings } from './settings.ts'
import { loggable, refuse, type Verdict } from './verdict.ts'

/** The settings that decide which credentials there are, and what they may do. */
export interface Minters {
  readonly apiKeys: readonly (Granted & { readonly id: string })[]
  readonly jwt: Granted | null
  readonly openOnLocalhost: boolean
}

/** What a credential may do. A member that it doesn't have doesn't limit it. */
type Granted = Pick<ApiKey | JwtSettings, 'prefix' | 'scopes' | 'buckets'>

/** An app's own users are not in the settings. */
const EVERYTHING: Granted = { prefix: '' }

/**
 * Returns what is left of the rights of `principal`, whom a token, a form or an upload step names:
 * the scopes and buckets that its credential still has. Refuses it if the credential is no longer
 * configured, or its prefix no longer contains that of `principal`. A JWT's own claims are unknown
 * here. Without a change, returns the same object.
 */
export function stillGranted(principal: Principal, minters: Minters): Verdict {
  const id = principal.id.split('/', 1)[0] ?? ''
  const granted = grantedTo(id, minters)
  if (!granted) return refuse('token minter not configured', loggable(id))
  if (!principal.prefix.startsWith(granted.prefix))
    return refuse('token outside the prefix of its minter', loggable(id))
  const { limits } = principal
  const scopes = common(principal.scopes, granted.scopes)
  const buckets = common(limits.buckets ?? granted.buckets ?? null, granted.buckets)
  if (scopes === principal.scopes && buckets === limits.buckets) return { ok: true, principal }
  return { ok: true, principal: { ...principal, scopes, limits: { ...limits, buckets } } }
}

function grantedTo(id: string, { apiKeys, jwt, openOnLocalhost }: Minters) {
  if (id.startsWith('key:')) return apiKeys.find((key) => key.id === id.slice('key:'.length))
  if (id.startsWith('jwt:'))
    // The claims in the template are unknown, but they leave its start as it is.
    return jwt && { ...jwt, prefix: jwt.prefix.split('{', 1)[0] ?? '' }
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
