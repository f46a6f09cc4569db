import { hashGuess } from '../access/password.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppContext } from '../http/app-env.ts'
import { networksOf } from '../http/rate-limit.ts'
import { announce, type ItemKind, type ItemObject, type Visited } from './item.ts'
import type { Item, Seen } from './list.ts'
import { callObject, countryOf } from './object.ts'
import { networkName } from './secret-id.ts'

/** The owner gets an event after 10 wrong passwords, and after 100, 1000 and so on. */
const EVENT_COUNTS = /^10+$/

/**
 * Checks a visitor's password, if there is one. Throws `password_wrong`, and `rate_limited` for a network
 * that has to wait.
 */
export async function requirePassword<
  T extends Item,
  S extends Seen<T>,
  O extends ItemObject<T, S>,
>(
  c: AppContext,
  kind: ItemKind<T, S, O>,
  { item, object, owner }: Pick<Visited<S, O>, 'item' | 'object' | 'owner'>,
  given: string | null | undefined,
): Promise<void> {
  const { id, password, bucket, key } = item
  if (password === null) return
  // No guess: a page finds out whether there is a password.
  if (!given) throw new ApiError('password_wrong', 'Enter the password.')
  const settings = c.get('settings')
  const hash = await hashGuess(settings, password, given)
  if (hash === null) throw kind.ended(`${kind.noun} password of a removed secret`)
  const networks = await Promise.all(
    networksOf(c.req.header('CF-Connecting-IP')).map((one) =>
      networkName(settings, id, one, password.kid),
    ),
  )
  const verdict = await callObject(c, () => object.guess(networks, hash, Date.now()))
  const { isRight, waitSeconds, wrong } = verdict
  if (isRight) return
  if (waitSeconds > 0)
    throw new ApiError(
      'rate_limited',
      `Too many wrong passwords. Try again in ${waitSeconds} ${waitSeconds === 1 ? 'second' : 'seconds'}.`,
      { retryAfterSeconds: waitSeconds },
    )
  if (EVENT_COUNTS.test(`${wrong}`))
    announce(c, owner, {
      type: 'guessed',
      file: { bucket, key },
      ...kind.about(item),
      wrongPasswords: wrong,
      country: countryOf(c.req.raw),
    })
  throw new ApiError('password_wrong', 'The password is wrong.')
}
