import { createApi } from '../../client/src/api.ts'
import { createTokens } from '../../client/src/box-tokens.ts'
import { isObject, isString } from '../../client/src/check.ts'

/** What the page says of its visitor. */
export interface Visitor {
  readonly password: string
  readonly name: string
  readonly note: string
}

/** Response of `POST /d/<secret id>/token`: the members that the page uses. */
export interface Session {
  readonly token: string
  readonly expiresAt: string
  /** URL of the API. */
  readonly endpoint: string
  readonly bucket: string
}

const isSession = isObject<Session>({
  token: isString,
  expiresAt: isString,
  endpoint: isString,
  bucket: isString,
})

/**
 * Returns a function that resolves with a session at the drop box whose page is at `path`. It is valid
 * now, and for the visitor as the page knows them now.
 */
export function createAccess(
  path: string,
  visitor: () => Visitor,
): (refused?: string) => Promise<Session> {
  const api = createApi({ baseUrl: path })
  const ask = ({ password, name, note }: Visitor) => {
    const body = {
      ...(password && { password }),
      ...((name || note) && { sender: { name, note } }),
    }
    return () => api(isSession, 'POST', '/token', { body })
  }
  let known = ''
  let current = createTokens(ask(visitor()))
  return (refused) => {
    const now = visitor()
    const text = JSON.stringify(now)
    if (text !== known) current = createTokens(ask(now))
    known = text
    return current(refused)
  }
}
