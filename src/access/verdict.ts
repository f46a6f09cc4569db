import type { Reason } from '../errors/api-error.ts'
import type { Principal } from './principal.ts'

/**
 * Why the core refuses credentials, and several plugins a token, for the log. Other plugins have lists of their
 * own. Only their types are in a bundle.
 */
export const REFUSALS = [
  'no credentials',
  'authorization scheme not bearer',
  'bearer credential malformed',
  'bearer credential of unknown kind',
  'jwt not expected',
  'token malformed',
  'token secret unknown',
  'token signature wrong',
  'token claims unusable',
  'token expired',
  'token minter not configured',
  'token outside the prefix of its minter',
  'refused by the app',
  'session expired',
] as const

export type Refusal = (typeof REFUSALS)[number]

/**
 * Returns the reason for the client, by how a refusal ends. An unknown key and a wrong key have the same one, so
 * that nobody can find out which keys exist.
 */
export const reasonFor = (refusal: string): Reason<'unauthenticated'> =>
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
  | { readonly ok: false; readonly refusal: string; readonly detail?: string | undefined }

/** Returns the verdict for refused credentials. `detail` is the key or claim that caused it. */
export type Refuse<Why extends string> = (refusal: Why, detail?: string) => Verdict

export const refuseAny: Refuse<string> = (refusal, detail) => ({ ok: false, refusal, detail })

export const refuse: Refuse<Refusal> = refuseAny

/** Returns `name` if it is safe for the log, since a client chose it. */
export const loggable = (name: unknown): string | undefined =>
  typeof name === 'string' && /^[\w.:-]{1,64}$/.test(name) ? name : undefined
