import { ON_WORKERS } from '../delivery/pump.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from './app-env.ts'
import { addWarning } from './request-log.ts'

const LIMITER_TIMEOUT_MILLISECONDS = 1000

/**
 * The network that a request comes from. Cloudflare says the address in a header, which elsewhere
 * anyone can make up: there, all clients count as one.
 */
export const networkOf = (connectingIp: string | undefined): string =>
  ON_WORKERS && connectingIp !== undefined ? clientNetwork(connectingIp) : 'unknown'

/**
 * The network of a client's address: an IPv6 address is one of many that its owner has, and counts
 * as its /64.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const zeros = Array(Math.max(0, 8 - groups(head).length - groups(tail).length)).fill('0')
  return [...groups(head), ...zeros, ...groups(tail)].slice(0, 4).join(':')
}

/**
 * Counts the request against `subject` in the rate limit, if there is one: Cloudflare's holds for
 * each location by itself. Throws `rate_limited`. A limiter that fails, or gives no answer within a
 * second, lets the request through with a warning in the log.
 */
export function countRequest(c: AppContext, subject: string): Promise<void> | undefined {
  const { rateLimiter } = c.env.instance
  if (rateLimiter === null) return undefined
  return new Promise((resolve, reject) => {
    let isAnswered = false
    const finish = (answer: unknown) => {
      if (isAnswered) return
      isAnswered = true
      clearTimeout(timer)
      if (answer === false)
        reject(new ApiError('rate_limited', 'Too many requests; try again in a minute.'))
      else {
        if (answer !== true) addWarning(c, `rate limit not applied: ${describe(answer)}`)
        resolve()
      }
    }
    const timer = setTimeout(finish, LIMITER_TIMEOUT_MILLISECONDS, 'no answer')
    try {
      const limit = Promise.resolve(rateLimiter.limit({ key: subject }))
      limit.then((answer) => finish(answer?.success), finish)
    } catch (thrown) {
      finish(thrown)
    }
  })
}
