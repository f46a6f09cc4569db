import { createApi } from '../../client/src/api.ts'
import { isObject, isString } from '../../client/src/check.ts'

/** A token is renewed a minute before it ends, and at least that often, since clocks may be wrong. */
const EARLY_MILLISECONDS = 60_000
const LONGEST_MILLISECONDS = 8 * 60_000

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

/** Tokens of one drop box. */
export interface Access {
  /** Resolves with a session that is valid now, for the visitor as the page knows them now. */
  session(refused?: string): Promise<Session>
}

/** Returns the access to the drop box whose page is at `path`. */
export function createAccess(path: string, visitor: () => Visitor): Access {
  const api = createApi({ baseUrl: path })
  let held: { readonly session: Session; readonly until: number } | undefined
  let asking: Promise<Session> | undefined
  let askedAs = ''

  async function ask({ password, name, note }: Visitor): Promise<Session> {
    const body = {
      ...(password && { password }),
      ...((name || note) && { sender: { name, note } }),
    }
    const session = await api(isSession, 'POST', '/token', { body })
    const left = Date.parse(session.expiresAt) - Date.now() - EARLY_MILLISECONDS
    const valid = Math.min(Math.max(left, EARLY_MILLISECONDS), LONGEST_MILLISECONDS)
    held = { session, until: Date.now() + valid }
    return session
  }

  return {
    async session(refused) {
      const now = visitor()
      const as = JSON.stringify(now)
      if (as !== askedAs) {
        askedAs = as
        held = asking = undefined
      }
      if (held && held.session.token !== refused && Date.now() < held.until) return held.session
      const own = asking ?? ask(now)
      asking = own
      try {
        return await own
      } finally {
        if (asking === own) asking = undefined
      }
    },
  }
}
