import { ApiError, type Reason } from '../../errors/api-error.ts'

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

const MESSAGES: Readonly<Record<Reason<'link_invalid'>, string>> = {
  signature: 'This link is not valid.',
  not_yet: 'This link is not valid yet.',
  address: 'This link is not for your network.',
  country: 'This link is not for your country.',
}

/** Returns the error of a refused link. The log has its reason, with what is added to it. */
export function refusedLink(refusal: LinkRefusal, more = ''): ApiError {
  const reason = LINK_REFUSALS[refusal]
  const cause = refusal + more
  if (reason === 'expired') return new ApiError('link_expired', 'This link has expired.', { cause })
  return new ApiError('link_invalid', MESSAGES[reason], { reason, cause })
}
