import { ApiError, type Reason } from '../../src/errors/api-error.ts'

/** Returns an error of a part that is not there for a moment. */
export const unavailable = (reason: Reason<'unavailable'>, message = 'No.'): ApiError =>
  new ApiError('unavailable', message, { reason, retryAfterSeconds: 5 })

interface Coded {
  readonly code: string
  readonly reason?: string | undefined
}

/** Returns the members of an error in words, such as `misconfigured clock`. */
export function coded(words: string): Coded {
  const [code = '', reason] = words.split(' ')
  return reason === undefined ? { code } : { code, reason }
}

/**
 * Returns the code of an error, with its reason: `misconfigured clock`. Without those of refused
 * credentials, and of settings.
 */
export const inWords = ({ code, reason }: Coded): string =>
  reason === undefined || reason === 'settings' || code === 'unauthenticated'
    ? code
    : `${code} ${reason}`
