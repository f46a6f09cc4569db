import { PresignerError } from './edge-presigner-client.js'

let token
let owner

/** Returns the token of `user`. After the Worker has refused it, gets a new one. */
export function fileToken(refused, user) {
  if (refused !== undefined || user !== owner) token = undefined
  owner = user
  token ??= fetchToken()
  token.catch(() => {
    token = undefined
  })
  return token
}

async function fetchToken() {
  const response = await fetch('/api/file-token', { method: 'POST' }).catch((cause) => {
    throw new PresignerError('network', 'There is no connection.', { cause })
  })
  const { ok, status } = response
  if (status === 401) throw new Error('Log in to use your files.')
  // After 429 and 5xx, and without a connection, uploads wait.
  if (!ok)
    throw new PresignerError('bad_answer', 'Your files are not available. Try again later.', {
      status,
    })
  const answer = await response.json().catch(() => undefined)
  if (typeof answer?.token !== 'string') throw new Error('/api/file-token returned no token.')
  return answer.token
}
