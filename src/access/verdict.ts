import type { ErrorCode, Reason } from '../errors/api-error.ts'
import type { Principal } from './principal.ts'

/**
 * Why credentials are refused, in the words of the log, and what the client learns of it. One word
 * stands for an unknown key and for a wrong one, so that nobody can find out which keys exist.
 */
export const REFUSALS = {
  'no credentials': 'missing',
  'authorization of another scheme': 'missing',
  'bearer credential malformed': 'malformed',
  'bearer credential of no known kind': 'malformed',
  'jwt not expected': 'not_accepted',
  'api key malformed': 'malformed',
  'api key unknown': 'not_accepted',
  'api key wrong': 'not_accepted',
  'token malformed': 'malformed',
  'token secret unknown': 'not_accepted',
  'token signature wrong': 'not_accepted',
  'token claims unusable': 'not_accepted',
  'token expired': 'expired',
  'jwt malformed': 'malformed',
  'jwt algorithm not allowed': 'not_accepted',
  'jwt key unknown': 'not_accepted',
  'jwt signature wrong': 'not_accepted',
  'jwt claim not accepted': 'not_accepted',
  'jwt expired': 'expired',
  'jwt not understood': 'not_accepted',
  'jwt subject unusable': 'not_accepted',
  'jwt claim does not fit the prefix': 'not_accepted',
  'refused by the app': 'not_accepted',
  'session expired': 'expired',
} as const satisfies Readonly<Record<string, Reason>>

export type Refusal = keyof typeof REFUSALS

/** Why a link is refused, in the words of the log, and the code that the client gets. */
export const LINK_REFUSALS = {
  'link kid unknown': 'link_invalid',
  'link malformed': 'link_invalid',
  'link spelled otherwise': 'link_invalid',
  'link signature wrong': 'link_invalid',
  'link expired': 'link_expired',
} as const satisfies Readonly<Record<string, ErrorCode>>

export type LinkRefusal = keyof typeof LINK_REFUSALS

/** What a check of credentials finds. `refusal` and `detail` are for the log alone. */
export type Verdict =
  | { readonly ok: true; readonly principal: Principal }
  | { readonly ok: false; readonly refusal: Refusal; readonly detail?: string }

/** The verdict on credentials that are refused. `name` is of what they name: a key, or a claim. */
export const refuse = (refusal: Refusal, name?: string): Verdict => ({
  ok: false,
  refusal,
  ...(name === undefined ? {} : { detail: name }),
})

/** `name` if it may enter the log: a client chose it. */
export const loggable = (name: unknown): string | undefined =>
  typeof name === 'string' && /^[\w.:-]{1,64}$/.test(name) ? name : undefined
