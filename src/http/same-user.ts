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
  { signingSecrets }: SigningSettings,
  principal: Principal,
): Promise<void> | undefined {
  const [secret] = signingSecrets
  const given = c.req.header(USER_TAG)
  const tag = userTag(secret, principal)
  if (tag instanceof Promise) return tag.then((own) => compare(own))
  return compare(tag)

  function compare(own: string): Promise<void> | undefined {
    c.env.userTag = { [USER_TAG]: own }
    return given === undefined || given === own ? undefined : compareOlder(given)
  }

  async function compareOlder(asked: string): Promise<void> {
    for (const older of signingSecrets.slice(1))
      if (asked === (await userTag(older, principal))) return
    throw new ApiError(
      'user_changed',
      'Another user is logged in now. Reload the page, or log in again.',
    )
  }
}
