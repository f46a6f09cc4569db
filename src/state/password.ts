import { hashGuess, type PasswordHash } from '../access/password.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext } from '../http/app-env.ts'
import { networksOf } from '../http/rate-limit.ts'
import type { StateObject } from './cloudflare.ts'
import { callObject, type Remote } from './object.ts'
import { networkName } from './secret-id.ts'

/** What asks for a password: a grant or a drop box. */
interface Locked {
  /** The public id. */
  readonly id: string
  readonly password: PasswordHash | null
  readonly object: Pick<Remote<StateObject>, 'guess'>
}

/**
 * Checks a visitor's password, if there is one. Throws `password_wrong`, `rate_limited` for a network that
 * has to wait, and what `ended` returns if nobody can check the password any more.
 */
export async function requirePassword(
  c: AppContext,
  { id, password, object }: Locked,
  given: string | null | undefined,
  ended: () => ApiError,
): Promise<void> {
  if (password === null) return
  // No guess: a page finds out whether there is a password.
  if (!given) throw new ApiError('password_wrong', 'Enter the password.')
  const settings = c.get('settings')
  const hash = await hashGuess(settings, password, given)
  if (hash === null) throw ended()
  const networks = await Promise.all(
    networksOf(c.req.header('CF-Connecting-IP')).map((one) => networkName(settings, id, one)),
  )
  const verdict = await callObject(c, () => object.guess(networks, hash, Date.now()))
  const { isRight, waitSeconds } = verdict
  if (waitSeconds > 0)
    throw new ApiError(
      'rate_limited',
      `Too many wrong passwords. Try again in ${waitSeconds} ${waitSeconds === 1 ? 'second' : 'seconds'}.`,
      { retryAfterSeconds: waitSeconds },
    )
  if (!isRight) throw new ApiError('password_wrong', 'The password is wrong.')
}
