import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose'

const FETCH_TIMEOUT_MILLISECONDS = 3000
/** How long an unknown `kid` waits, after a fetch, before it may cause another. */
const COOLDOWN_MILLISECONDS = 30_000
/** How long after a failed fetch no other is tried. */
const PAUSE_AFTER_FAILURE_MILLISECONDS = 10_000
const MAX_AGE_MILLISECONDS = 600_000

/** The key set could not be fetched, so nothing can be said about a key that isn't known yet. */
export class JwksUnavailableError extends Error {
  override readonly name = 'JwksUnavailableError'
}

/**
 * Keys of the JWKS at `url` (RFC 7517), fetched when first needed, every ten minutes and for an unknown `kid`. In an
 * outage the known keys go on working; for another the returned function throws JwksUnavailableError, at once when
 * a fetch has just failed.
 */
export function remoteJwks(url: string): JWTVerifyGetKey {
  let fetchedAt = 0
  let failedAt = Number.NEGATIVE_INFINITY

  const fetchKeySet = async (href: string, init: RequestInit): Promise<Response> => {
    if (Date.now() - failedAt < PAUSE_AFTER_FAILURE_MILLISECONDS)
      throw new JwksUnavailableError('The key set could not be fetched a moment ago.')
    try {
      const response = await fetch(href, init)
      if (response.status !== 200)
        throw new Error(`The key set answered with status ${response.status}.`)
      const body: unknown = await response.json()
      fetchedAt = Date.now()
      return Response.json(body)
    } catch (cause) {
      failedAt = Date.now()
      throw new JwksUnavailableError('The key set could not be fetched.', { cause })
    }
  }

  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: FETCH_TIMEOUT_MILLISECONDS,
    cooldownDuration: COOLDOWN_MILLISECONDS,
    cacheMaxAge: Infinity,
    [customFetch]: fetchKeySet,
  })

  return async (header, token) => {
    const stale = Date.now() - fetchedAt > MAX_AGE_MILLISECONDS
    if (stale && keys.jwks() !== undefined) {
      await keys.reload().catch(() => undefined) // known keys outlive an outage
    }
    return keys(header, token)
  }
}
