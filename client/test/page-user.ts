import type { ClientOptions } from '../src/index.ts'
import type { PageClient } from './page-api.ts'

const inCookie = (): string | null => /\buser=(\w+)/.exec(document.cookie)?.[1] ?? null

/** Returns the options of a client whose user depends on a cookie, as in an app with a login. */
export function userOptions({ tokens, user }: Partial<PageClient>): Partial<ClientOptions> {
  return {
    user: user === 'cookie' ? inCookie : user,
    ...(tokens && { token: () => tokens[inCookie() ?? ''] ?? '' }),
  }
}
