import { onlyBuckets } from '../../access/limits.ts'
import { refuse, type Verdict } from '../../access/verdict.ts'
import { areEqual, sha256 } from '../../keys/encodings.ts'
import type { ApiKey } from './options.ts'

const API_KEY = /^ep_([a-z0-9-]{1,32})_[A-Za-z0-9_-]{43}$/

/** The start of every API key, `ep_<id>_<secret>`. */
export const API_KEY_PREFIX = 'ep_'

/** Returns the principal of an API key. Compares only digests, in constant time. */
export async function verifyApiKey(token: string, apiKeys: readonly ApiKey[]): Promise<Verdict> {
  const id = API_KEY.exec(token)?.[1]
  if (id === undefined) return refuse('api key malformed')
  // Before it is clear whether there is such a key, so that the time doesn't tell.
  const digest = await sha256(token)
  const apiKey = apiKeys.find((candidate) => candidate.id === id)
  if (apiKey === undefined) return refuse('api key unknown', id)
  const matches = [apiKey.sha256].flat().filter((known) => areEqual(digest, known))
  if (matches.length === 0) return refuse('api key wrong', id)
  const { scopes, prefix, buckets } = apiKey
  const limits = onlyBuckets(buckets)
  const rights = { scopes, prefix, expiresAt: Infinity, limits, context: null }
  return { ok: true, principal: { kind: 'key', id: `key:${id}`, ...rights } }
}
