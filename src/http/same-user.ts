import type { Principal } from '../access/principal.ts'
import type { SigningSettings } from '../access/settings.ts'
import { userTag } from '../access/user-tag.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext } from './app-env.ts'

/** The header with a principal's tag, in requests and responses. */
export const USER_TAG = 'X-User-Tag'

/**
 * Adds the principal's tag to the response. Throws `user_changed` if the request has another one,
 * because somebody else has logged in since the page read it. Accepts the tag of each signing secret.
 * Not async, since each promise costs time.
 */
export function requireSameUser(
  c: AppContext,
  settings: SigningSettings,
  principal: Principal,
): Promise<void> | undefined {
  const own = userTag(settings.signingSecrets[0], principal)
  // Then the isolate knows it.
  if (own instanceof Promise) return own.then(() => requireSameUser(c, settings, principal))
  c.env.userTag = { [USER_TAG]: own }
  const given = c.req.header(USER_TAG)
  return given === undefined || given === own ? undefined : compareOlder(settings, principal, given)
}

async function compareOlder(
  { signingSecrets }: SigningSettings,
  principal: Principal,
  given: string,
): Promise<void> {
  for (const older of signingSecrets.slice(1))
    if (given === (await userTag(older, principal))) return
  throw new ApiError(
    'user_changed',
    'Another user is logged in now. Reload the page, or log in again.',
  )
}
