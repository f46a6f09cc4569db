import { PresignerError } from '../../client/src/index.ts'

/** Whether the Worker wants credentials, or other ones. */
export const wantsCredentials = (error: unknown): boolean =>
  error instanceof PresignerError && error.code === 'unauthenticated'

/** The message of `error`, and below it in small what helps to find it in the Worker's log. */
export function faultText(error: unknown): readonly HTMLElement[] {
  const message = document.createElement('p')
  message.textContent = error instanceof Error ? error.message : String(error)
  if (!(error instanceof PresignerError)) return [message]
  const details = document.createElement('p')
  details.className = 'fault-details'
  details.textContent = [error.code, error.requestId].filter(Boolean).join(' · ')
  return [message, details]
}
