import { PresignerError } from '../../client/src/index.ts'

/** Tells whether the Worker needs credentials, or different ones. */
export const wantsCredentials = (error: unknown): boolean =>
  error instanceof PresignerError && error.code === 'unauthenticated'

/**
 * Returns the message of `error`. Below it, in small print, the code and request id for the log.
 */
export function errorText(error: unknown): readonly HTMLElement[] {
  const message = document.createElement('p')
  message.textContent = error instanceof Error ? error.message : String(error)
  if (!(error instanceof PresignerError)) return [message]
  const details = document.createElement('p')
  details.className = 'error-details'
  details.textContent = [error.code, error.requestId].filter(Boolean).join(' · ')
  return [message, details]
}
