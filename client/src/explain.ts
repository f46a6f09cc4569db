import { PresignerError } from './presigner-error.ts'

/** Returns a message about an error for the user, in English. */
export function explain(error: unknown): string {
  if (!(error instanceof PresignerError))
    return error instanceof Error ? error.message : 'Something went wrong.'
  switch (error.code) {
    case 'unauthenticated':
      if (error.reason === 'expired') return 'Your session has expired. Reload the page.'
      if (error.reason === 'missing') return 'Log in to use your files.'
      return `Your files are not available. (${error.reason}, request ${error.requestId})`
    case 'file_too_large':
      return 'This file is too large.'
    case 'mimetype_not_allowed':
      return 'Files of this type are not allowed.'
    default:
      // The Worker's log has the reason under this id.
      return error.status >= 500 ? `${error.message} (request ${error.requestId})` : error.message
  }
}

/** Tells whether another try may succeed, perhaps after the user has logged in. */
export const canRetry = (error: unknown): boolean =>
  !(error instanceof PresignerError) || error.retryable || error.code === 'unauthenticated'
