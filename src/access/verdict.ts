import type { Reason } from '../errors/api-error.ts'
import type { Principal } from './principal.ts'

/** Why credentials are refused, for the log. Only their types are in a bundle. */
export const REFUSALS = [
  'no credentials',
  'authorization scheme not bearer',
  'bearer credential malformed',
  'bearer credential of unknown kind',
  'jwt not expected',
  'api key malformed',
  'api key unknown',
  'api key wrong',
  'token malformed',
  'token secret unknown',
  'token signature wrong',
  'token claims unusable',
  'token expired',
  'token minter not configured',
  'token outside the prefix of its minter',
  'jwt malformed',
  'jwt algorithm not allowed',
  'jwt key unknown',
  'jwt signature wrong',
  'jwt claim not accepted',
  'jwt expired',
  'jwt not supported',
  'jwt subject unusable',
  'jwt claim does not fit the prefix',
  'notification secret wrong',
  'refused by the app',
  'session expired',
] as const

export type Refusal = (typeof REFUSALS)[number]

/**
 * Returns the reason for the client. An unknown key and a wrong key have the same one, so that nobody
 * can find out which keys exist.
 */
export const reasonFor = (refusal: Refusal): Reason<'unauthenticated'> =>
  refusal.endsWith('expired')
    ? 'expired'
    : /(?:malformed|of unknown kind)$/.test(refusal)
      ? 'malformed'
      : /^(?:no credentials|authorization)/.test(refusal)
        ? 'missing'
        : 'not_accepted'

/**
 * The result of a credential check. `refusal` and `detail` are only for the log. `isFrozen` says that
 * the principal, with all its members, is frozen already, so that nobody freezes it in each request.
 */
export type Verdict =
  | { readonly ok: true; readonly principal: Principal; readonly isFrozen?: true }
  | { readonly ok: false; readonly refusal: Refusal; readonly detail?: string }

/** Returns the verdict for refused credentials. `name` is the key or claim that caused it. */
export const refuse = (refusal: Refusal, name?: string): Verdict => ({
  ok: false,
  refusal,
  ...(name === undefined ? {} : { detail: name }),
})

/** Returns `name` if it is safe for the log, since a client chose it. */
export const loggable = (name: unknown): string | undefined =>
  typeof name === 'string' && /^[\w.:-]{1,64}$/.test(name) ? name : undefined
