import { onlyBuckets } from '../../access/limits.ts'
import type { Principal } from '../../access/principal.ts'
import { type Refuse, refuseAny, type Verdict } from '../../access/verdict.ts'
import { areEqual, sha256 } from '../../keys/encodings.ts'
import { deepFreeze } from '../../settings/rules.ts'
import type { ApiKey } from './options.ts'

const API_KEY = /^ep_[a-z0-9-]{1,32}_[A-Za-z0-9_-]{43}$/

/** The start of every API key, `ep_<id>_<secret>`. */
export const API_KEY_PREFIX = 'ep_'

const SECRET_LENGTH = 43

/** Why a key is refused, for the log. */
export const REFUSALS = ['api key malformed', 'api key unknown', 'api key wrong'] as const

const refuse: Refuse<(typeof REFUSALS)[number]> = refuseAny

/** The verdict for the right key, made once, since nearly all keys are right. */
const accepted = new WeakMap<ApiKey, Verdict>()

/** Returns the principal of an API key. Compares only digests, in constant time. */
export function verifyApiKey(
  token: string,
  apiKeys: readonly ApiKey[],
): Verdict | Promise<Verdict> {
  if (!API_KEY.test(token)) return refuse('api key malformed')
  const id = token.slice(API_KEY_PREFIX.length, -SECRET_LENGTH - 1)
  // Before it is clear whether there is such a key, so that the time doesn't tell.
  return sha256(token).then((digest) => {
    const apiKey = apiKeys.find((candidate) => candidate.id === id)
    if (apiKey === undefined) return refuse('api key unknown', id)
    const known = typeof apiKey.sha256 === 'string' ? [apiKey.sha256] : apiKey.sha256
    let isRight = false
    for (const one of known) isRight = areEqual(digest, one) || isRight
    if (!isRight) return refuse('api key wrong', id)
    const verdict = accepted.get(apiKey) ?? accept(apiKey)
    accepted.set(apiKey, verdict)
    return verdict
  })
}

function accept({ id, scopes, prefix, buckets }: ApiKey): Verdict {
  const limits = onlyBuckets(buckets)
  const rights = { scopes, prefix, expiresAt: Infinity, limits, context: null }
  const principal = deepFreeze<Principal>({ kind: 'key', id: `key:${id}`, ...rights })
  return { ok: true, principal, isFrozen: true }
}
