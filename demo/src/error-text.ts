import { PresignerError } from '../../client/src/index.ts'

/** Tells whether the Worker needs credentials, or different ones. */
export const wantsCredentials = (error: unknown): boolean =>
  error instanceof PresignerError && error.code === 'unauthenticated'

/** Tells whether a request got no response, or one that is not the Worker's, such as a proxy's. */
export const isWithoutAnswer = (error: unknown): error is PresignerError =>
  error instanceof PresignerError && ['network', 'unreachable', 'bad_answer'].includes(error.code)

/** Tells whether it was the bucket that did not respond. The client's message says so. */
export const isFromBucket = ({ message }: PresignerError): boolean =>
  message.startsWith('No response from the bucket')

/** Texts by the codes of errors. */
export type Reasons = Readonly<Record<string, string>>

/** What an error means for the user, where its own message is for developers. */
const REASONS: Reasons = {
  network: 'The Worker does not answer.',
  unreachable: 'The Worker does not answer.',
  bad_answer: 'The Worker does not answer.',
  mimetype_not_allowed: 'This bucket does not accept files of this type.',
  forbidden: "Your token doesn't allow this.",
  rate_limited: 'These were too many requests. Wait a minute, and try again.',
  storage_error: 'The bucket returned an error. Try again later.',
  misconfigured: 'The settings of this Worker are not complete. /healthz names what is missing.',
}

const REFUSED: Readonly<Record<string, string>> = {
  expired: 'This token has expired. Enter a new one to continue.',
  not_accepted: 'This Worker does not accept this token.',
}

/** Returns what happened in plain words. `reasons` take precedence over those of this file. */
export function reasonOf(error: unknown, reasons: Reasons = {}): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof PresignerError)) return error.message
  if (isWithoutAnswer(error) && isFromBucket(error))
    // A browser doesn't tell a page why a request failed.
    return `No response from the bucket that this page can read. Check its access key, and that its CORS rules allow ${location.origin}.`
  return reasons[error.code] ?? REFUSED[error.reason ?? ''] ?? REASONS[error.code] ?? error.message
}

/**
 * Returns what happened, after `about`. Below it, in small print, the code and request id for the
 * log.
 */
export function errorText(error: unknown, about = '', reasons?: Reasons): readonly HTMLElement[] {
  const message = document.createElement('p')
  message.textContent = [about, reasonOf(error, reasons)].filter(Boolean).join(' ')
  if (!(error instanceof PresignerError)) return [message]
  const details = document.createElement('p')
  details.className = 'error-details'
  details.textContent = [error.code, error.requestId].filter(Boolean).join(' · ')
  return [message, details]
}
