import type { Reason } from '../errors/api-error.ts'
import type { Principal } from './principal.ts'

/**
 * Why credentials are refused: the reason in the log, and the reason for the client. An unknown key
 * and a wrong key have the same reason for the client, so that nobody can find out which keys
 * exist.
 */
export const REFUSALS = {
  'no credentials': 'missing',
  'authorization scheme not bearer': 'missing',
  'bearer credential malformed': 'malformed',
  'bearer credential of unknown kind': 'malformed',
  'jwt not expected': 'not_accepted',
  'api key malformed': 'malformed',
  'api key unknown': 'not_accepted',
  'api key wrong': 'not_accepted',
  'token malformed': 'malformed',
  'token secret unknown': 'not_accepted',
  'token signature wrong': 'not_accepted',
  'token claims unusable': 'not_accepted',
  'token expired': 'expired',
  'token minter not configured': 'not_accepted',
  'token outside the prefix of its minter': 'not_accepted',
  'jwt malformed': 'malformed',
  'jwt algorithm not allowed': 'not_accepted',
  'jwt key unknown': 'not_accepted',
  'jwt signature wrong': 'not_accepted',
  'jwt claim not accepted': 'not_accepted',
  'jwt expired': 'expired',
  'jwt not supported': 'not_accepted',
  'jwt subject unusable': 'not_accepted',
  'jwt claim does not fit the prefix': 'not_accepted',
  'notification secret wrong': 'not_accepted',
  'refused by the app': 'not_accepted',
  'session expired': 'expired',
} as const satisfies Readonly<Record<string, Reason<'unauthenticated'>>>

export type Refusal = keyof typeof REFUSALS

/** Why a link is refused: the reason in the log, and the one for the client, unless it has expired. */
export const LINK_REFUSALS = {
  'link kid unknown': 'signature',
  'link malformed': 'signature',
  'link rewritten': 'signature',
  'link signature wrong': 'signature',
  'link outside its folder': 'signature',
  'link expired': 'expired',
  'link not valid yet': 'not_yet',
  'link address not allowed': 'address',
  'link address unknown': 'address',
  'link country not allowed': 'country',
  'link country unknown': 'country',
} as const satisfies Readonly<Record<string, Reason<'link_invalid'> | 'expired'>>

export type LinkRefusal = keyof typeof LINK_REFUSALS

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
