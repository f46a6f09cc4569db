const KEEP_MILLISECONDS = 5 * 60_000 // half the lifetime of a token

let kept: { readonly token: Promise<string>; readonly until: number } | undefined

/**
 * Returns a token for the logged-in user. Requests a new one from your server after five minutes,
 * and after the Worker has refused a token.
 */
export function fileToken(refused?: string): Promise<string> {
  if (refused !== undefined || kept === undefined || Date.now() >= kept.until) {
    const token = fetchToken()
    kept = { token, until: Date.now() + KEEP_MILLISECONDS }
    token.catch(forgetFileToken)
  }
  return kept.token
}

/** Call this when the user logs out. */
export function forgetFileToken(): void {
  kept = undefined
}

async function fetchToken(): Promise<string> {
  const response = await fetch('/api/file-token', { method: 'POST' })
  if (response.status === 401) throw new Error('Log in to use your files.')
  if (!response.ok) throw new Error('Your files are not available. Try again later.')
  const answer = await response.json().catch(() => undefined)
  if (typeof answer?.token !== 'string') throw new Error('/api/file-token returned no token.')
  return answer.token
}
