import { type CryptoKey, createLocalJWKSet, errors, type JWK, type JWTHeaderParameters } from 'jose'
import * as z from 'zod/mini'
import type { Warning } from '../errors/warnings.ts'
import { importPublicKey } from './public-key.ts'
import type { JwtSettings } from './settings.ts'

const FETCH_TIMEOUT_MILLISECONDS = 3000
const MAX_AGE_MILLISECONDS = 600_000
/** How long keys are used while the set can't be read: a key that was dropped is among them. */
const MAX_AGE_IN_OUTAGE_MILLISECONDS = 3_600_000
/** How long an unknown `kid` waits, after a fetch, before it may cause another. */
const COOLDOWN_MILLISECONDS = 30_000
/** How long after a failed fetch no other is tried. */
const PAUSE_AFTER_FAILURE_MILLISECONDS = 10_000
/** A request that was cancelled leaves its turn unfinished: the turn ends without it. */
const TURN_MILLISECONDS = FETCH_TIMEOUT_MILLISECONDS + 500
const POLL_MILLISECONDS = 20

const keySetSchema = z.object({ keys: z.array(z.unknown()) })
const memberSchema = z.looseObject({ kty: z.string() })

/** What the request that needs a key adds to the search for it. */
export interface KeySourceHooks {
  /** Runs before this request fetches the key set; what it throws ends the request. */
  beforeFetch(): Promise<void>
  /** Keeps a fetch alive that others wait for, when the client of this request goes away. */
  waitUntil(work: Promise<unknown>): void
}

/** Finds the key that the header of a JWS names. */
export type KeySource = (header: JWTHeaderParameters, hooks: KeySourceHooks) => Promise<CryptoKey>

/** The key set could not be fetched, so nothing can be said about a key that isn't known yet. */
export class JwksUnavailableError extends Error {
  override readonly name = 'JwksUnavailableError'
}

interface KnownKeys {
  readonly find: ReturnType<typeof createLocalJWKSet>
  readonly fetchedAt: number
}

/** One request's turn to count or to fetch, which others wait for. */
interface Turn {
  readonly endsAt: number
}

const isOn = (turn: Turn | undefined): turn is Turn =>
  turn !== undefined && Date.now() < turn.endsAt

/**
 * Keys of the JWKS at `url` (RFC 7517), fetched when first needed, every ten minutes and for an
 * unknown `kid`. One request fetches at a time, and the others wait for it: by polling, as workerd
 * ties a promise to the request that made it. In an outage the known keys go on working for an
 * hour; for another the returned function throws JwksUnavailableError, at once when a fetch has
 * just failed.
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
  let counting: Turn | undefined
  let fetching: Turn | undefined

  const fetchOnce = async (): Promise<void> => {
    const turn = { endsAt: Date.now() + TURN_MILLISECONDS }
    fetching = turn
    try {
      const find = createLocalJWKSet({ keys: await fetchKeySet(url, algorithms) })
      known = { find, fetchedAt: Date.now() }
      failedAt = Number.NEGATIVE_INFINITY
    } catch (cause) {
      failedAt = Date.now()
      logFailure(issuer, cause)
    } finally {
      finished += 1
      if (fetching === turn) fetching = undefined
    }
  }

  /** Waits for a fetch that ends from now on: another request's, or else its own. */
  const fetchOrJoin = async ({ beforeFetch, waitUntil }: KeySourceHooks): Promise<void> => {
    const before = finished
    let counted = false
    let waited = false
    while (finished === before) {
      if (isOn(fetching)) await poll()
      else if (counted) {
        const fetched = fetchOnce()
        waitUntil(fetched)
        await fetched
      } else if (isOn(counting) && !waited) {
        // The limit may refuse that request. Then this one asks for itself, and waits no more.
        const turn = counting
        while (counting === turn && isOn(turn)) await poll()
        waited = true
      } else {
        const turn = { endsAt: Date.now() + TURN_MILLISECONDS }
        counting = turn
        try {
          await beforeFetch()
          counted = true
        } finally {
          if (counting === turn) counting = undefined
        }
      }
    }
  }

  const refresh = async (hooks: KeySourceHooks): Promise<void> => {
    if (Date.now() - failedAt >= PAUSE_AFTER_FAILURE_MILLISECONDS) await fetchOrJoin(hooks)
    if (Date.now() - failedAt < PAUSE_AFTER_FAILURE_MILLISECONDS)
      throw new JwksUnavailableError('The key set could not be fetched.')
  }

  const age = () => Date.now() - known.fetchedAt

  return async (header, hooks) => {
    if (age() > MAX_AGE_IN_OUTAGE_MILLISECONDS) await refresh(hooks)
    // Known keys outlive an outage, and the rate limit of a network.
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

const poll = () => new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS))

/**
 * The usable members of the set at `url`. Others are skipped (RFC 7517, section 5): one new kind of
 * key must not take the known ones along. Throws where no set can be read: JwksUnavailableError
 * where its message may be shown.
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
  const parsed = keySetSchema.safeParse(await response.json())
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

/** Writes a JSON line for a fetch that failed. The URL of the set may hold a secret: it stays out. */
function logFailure(issuer: string, cause: unknown): void {
  const { name, message } = cause instanceof Error ? cause : new Error()
  const reason = cause instanceof JwksUnavailableError ? message : name
  const warning: Warning = 'key set not read'
  console.log(JSON.stringify({ warning, issuer, reason }))
}
