import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import * as z from 'zod/mini'

const FETCH_TIMEOUT_MILLISECONDS = 3000
const MAX_AGE_MILLISECONDS = 600_000
/** How long an unknown `kid` waits, after a fetch, before it may cause another. */
const COOLDOWN_MILLISECONDS = 30_000
/** How long after a failed fetch no other is tried. */
const PAUSE_AFTER_FAILURE_MILLISECONDS = 10_000

const keySetSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) })

/** The key set could not be fetched, so nothing can be said about a key that isn't known yet. */
export class JwksUnavailableError extends Error {
  override readonly name = 'JwksUnavailableError'
}

/**
 * Keys of the JWKS at `url` (RFC 7517), fetched when first needed, every ten minutes and for an
 * unknown `kid`. In an outage the known keys go on working; for another the returned function
 * throws JwksUnavailableError, at once when a fetch has just failed.
 */
export function remoteJwks(url: string): JWTVerifyGetKey {
  let known: { readonly find: JWTVerifyGetKey; readonly fetchedAt: number } | undefined
  let failedAt = Number.NEGATIVE_INFINITY

  const refresh = async (): Promise<JWTVerifyGetKey> => {
    if (Date.now() - failedAt < PAUSE_AFTER_FAILURE_MILLISECONDS)
      throw new JwksUnavailableError('The key set could not be fetched a moment ago.')
    try {
      const find = createLocalJWKSet(await fetchKeySet(url))
      known = { find, fetchedAt: Date.now() }
      return find
    } catch (cause) {
      failedAt = Date.now()
      throw new JwksUnavailableError('The key set could not be fetched.', { cause })
    }
  }

  return async (header, token) => {
    if (known === undefined) return (await refresh())(header, token)
    const { find, fetchedAt } = known
    const age = Date.now() - fetchedAt
    // Known keys outlive an outage.
    const current = age > MAX_AGE_MILLISECONDS ? await refresh().catch(() => find) : find
    try {
      return await current(header, token)
    } catch (error) {
      const mayBeNew = error instanceof errors.JWKSNoMatchingKey && age > COOLDOWN_MILLISECONDS
      if (!mayBeNew || current !== find) throw error
      return (await refresh())(header, token)
    }
  }
}

async function fetchKeySet(url: string): Promise<JSONWebKeySet> {
  const response = await fetch(url, {
    headers: { Accept: 'application/json' },
    redirect: 'manual',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MILLISECONDS),
  })
  if (response.status !== 200)
    throw new Error(`The key set answered with status ${response.status}.`)
  return keySetSchema.parse(await response.json())
}
