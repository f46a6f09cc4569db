import { type CryptoKey, createLocalJWKSet, type JWK, type JWTHeaderParameters } from 'jose'
import * as errors from 'jose/errors'
import * as z from 'zod/mini'
import { Flight, isSince } from '../../errors/single-flight.ts'
import type { Warning } from '../../errors/warnings.ts'
import type { JwtSettings } from './options.ts'
import { importPublicKey } from './public-key.ts'

const FETCH_TIMEOUT_MILLISECONDS = 3000
const MAX_AGE_MILLISECONDS = 600_000
/** After the last fetch, how long keys stay in use in an outage, even if the issuer removes them. */
const MAX_AGE_IN_OUTAGE_MILLISECONDS = 3_600_000
/** For this long after a fetch, an unknown `kid` causes no other one. */
const COOLDOWN_MILLISECONDS = 30_000
/** For this long after a failed fetch, there is no other one. */
export const PAUSE_AFTER_FAILURE_SECONDS = 10
/** Sets have a few keys of 1 KB. Larger ones would fill the memory of the isolate. */
const MAX_BYTES = 1_000_000
/** A cancelled request never finishes its flight, so the flight ends after this time. */
const FLIGHT_MILLISECONDS = FETCH_TIMEOUT_MILLISECONDS + 500

const keySetSchema = z.object({ keys: z.array(z.unknown()) })
const memberSchema = z.looseObject({ kty: z.string() })

/** What the key source calls on behalf of the current request. */
export interface KeySourceHooks {
  /** Runs before this request fetches the key set. An error that it throws ends the request. */
  beforeFetch(): Promise<void>
  /** Keeps a fetch running for other requests when this request's client disconnects. */
  waitUntil(work: Promise<unknown>): void
}

/** Finds the key that the header of a JWS names. */
export type KeySource = (header: JWTHeaderParameters, hooks: KeySourceHooks) => Promise<CryptoKey>

/** The key set could not be fetched, so an unknown key can't be checked. */
export class JwksUnavailableError extends Error {
  override readonly name = 'JwksUnavailableError'
}

interface KnownKeys {
  readonly find: ReturnType<typeof createLocalJWKSet>
  readonly fetchedAt: number
}

const newFlight = () => new Flight(Date.now() + FLIGHT_MILLISECONDS)

/**
 * Returns a source of the keys in the JWKS at `url` (RFC 7517). Fetches the set on first use, every
 * ten minutes, and for an unknown `kid`. Only one request fetches at a time, and the others wait
 * for it. In an outage, known keys work for an hour after the last fetch. For an unknown key, the
 * returned function throws JwksUnavailableError, immediately if a fetch has just failed.
 */
export function remoteJwks(
  url: string,
  { issuer, algorithms }: Pick<JwtSettings, 'issuer' | 'algorithms'>,
): KeySource {
  let known: KnownKeys = {
    find: createLocalJWKSet({ keys: [] }),
    fetchedAt: Number.NEGATIVE_INFINITY,
  }
  let failedAt = Number.NEGATIVE_INFINITY
  let finished = 0
  let counting: Flight | undefined
  let fetching: Flight | undefined

  const fetchOnce = async (): Promise<void> => {
    const flight = newFlight()
    fetching = flight
    try {
      const find = createLocalJWKSet({ keys: await fetchKeySet(url, algorithms) })
      known = { find, fetchedAt: Date.now() }
      failedAt = Number.NEGATIVE_INFINITY
    } catch (cause) {
      failedAt = Date.now()
      logFailure(issuer, cause)
    } finally {
      finished += 1
      flight.end()
    }
  }

  /** Waits for the next fetch to end: that of another request, or its own. */
  const fetchOrJoin = async ({ beforeFetch, waitUntil }: KeySourceHooks): Promise<void> => {
    const before = finished
    let counted = false
    let waited = false
    while (finished === before) {
      if (fetching?.isOn) await fetching.wait()
      else if (counted) {
        const fetched = fetchOnce()
        waitUntil(fetched)
        await fetched
      } else if (counting?.isOn && !waited) {
        // The rate limit may refuse the other request. Then this one uses its own flight, and doesn't
        // wait again.
        await counting.wait()
        waited = true
      } else {
        const flight = newFlight()
        counting = flight
        try {
          await beforeFetch()
          counted = true
        } finally {
          flight.end()
        }
      }
    }
  }

  const refresh = async (hooks: KeySourceHooks): Promise<void> => {
    const isPaused = () => isSince(failedAt, PAUSE_AFTER_FAILURE_SECONDS * 1000)
    if (!isPaused()) await fetchOrJoin(hooks)
    if (isPaused()) throw new JwksUnavailableError('The key set could not be fetched.')
  }

  const age = () => Date.now() - known.fetchedAt

  return async (header, hooks) => {
    if (age() > MAX_AGE_IN_OUTAGE_MILLISECONDS) await refresh(hooks)
    // Known keys still work during an outage, and after the rate limit of a network.
    else if (age() > MAX_AGE_MILLISECONDS) await refresh(hooks).catch(() => {})
    try {
      return await known.find(header)
    } catch (error) {
      const mayBeNew = error instanceof errors.JWKSNoMatchingKey && age() > COOLDOWN_MILLISECONDS
      if (!mayBeNew) throw error
      await refresh(hooks)
      return known.find(header)
    }
  }
}

/**
 * Returns the usable keys of the set at `url`. Skips the others (RFC 7517, section 5), so that one
 * key of a new kind doesn't disable the known ones. Throws if the set can't be read. The message of
 * a JwksUnavailableError is safe to show.
 */
export async function fetchKeySet(url: string, algorithms: readonly string[]): Promise<JWK[]> {
  const response = await fetch(url, {
    headers: { Accept: 'application/json' },
    redirect: 'manual',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MILLISECONDS),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new JwksUnavailableError(`status ${response.status}`)
  }
  const parsed = keySetSchema.safeParse(JSON.parse(await readText(response)))
  if (!parsed.success) throw new JwksUnavailableError('no list of keys')
  const members = await Promise.all(
    parsed.data.keys.map(async (value) => {
      const member = memberSchema.safeParse(value)
      if (!member.success) return []
      for (const name of algorithms)
        if ((await importPublicKey(member.data, name)) !== null) return [member.data]
      return []
    }),
  )
  return members.flat()
}

/** Returns the body, decoded and decompressed. Throws JwksUnavailableError if it is too large. */
async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  // Leaving the loop cancels the body.
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_BYTES) throw new JwksUnavailableError('more than 1 MB')
    text += decoder.decode(chunk, { stream: true })
  }
  return text
}

/**
 * Writes a JSON line for a failed fetch. Omits the URL of the set, since it may contain a secret.
 */
function logFailure(issuer: string, cause: unknown): void {
  const { name, message } = cause instanceof Error ? cause : new Error()
  const reason = cause instanceof JwksUnavailableError ? message : name
  const warning: Warning = 'key set not read'
  console.log(JSON.stringify({ warning, issuer, reason }))
}
