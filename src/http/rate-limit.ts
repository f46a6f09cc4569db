import type { Principal } from '../access/principal.ts'
import { ApiError } from '../errors/api-error.ts'
import { describe } from '../errors/describe.ts'
import type { AppContext } from './app-env.ts'
import { addWarning } from './request-log.ts'
import { ON_WORKERS } from './runtime.ts'

const LIMITER_TIMEOUT_MILLISECONDS = 1000

/** Runs what follows it as a microtask. `queueMicrotask` of Workers takes far longer. */
const SETTLED = Promise.resolve()

/** Returns the client's network. Outside Cloudflare, its header may be forged: all count as one. */
export const networkOf = (connectingIp: string | undefined): string =>
  ON_WORKERS && connectingIp !== undefined ? clientNetwork(connectingIp) : 'unknown'

/** Returns the network of an address. An IPv6 address counts as its /64, which has one owner. */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const zeros = Array(Math.max(0, 8 - groups(head).length - groups(tail).length)).fill('0')
  return [...groups(head), ...zeros, ...groups(tail)].slice(0, 4).join(':')
}

/**
 * Returns the client's network and the larger ones around it, which one owner may have: the /48 and the
 * /32 of an IPv6 address, and the /24 and the /16 of an IPv4 address.
 */
export function networksOf(connectingIp: string | undefined): string[] {
  const network = networkOf(connectingIp)
  if (network === 'unknown') return [network]
  const separator = network.includes(':') ? ':' : '.'
  const groups = network.split(separator)
  return [4, 3, 2].map((count) => groups.slice(0, count).join(separator))
}

/** Counts the request against the client's network. Throws `rate_limited`. */
export const countNetwork = (c: AppContext): Promise<void> | undefined =>
  countRequest(c, `network ${networkOf(c.req.header('CF-Connecting-IP'))}`)

/** Counts the request against its principal, or against one of its users. Throws `rate_limited`. */
export const countPrincipal = (
  c: AppContext,
  { id }: Pick<Principal, 'id'>,
): Promise<void> | undefined => countRequest(c, `principal ${c.get('countAs') ?? id}`)

/**
 * Counts the request in the rate limiter, if there is one (Cloudflare's counts per location).
 * Throws `rate_limited`. Warns and allows the request if the limiter fails or takes more than a
 * second.
 */
function countRequest(c: AppContext, subject: string): Promise<void> | undefined {
  const { rateLimiter } = c.env.instance
  if (rateLimiter === null) return undefined
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | null | undefined
    const finish = (allowed: unknown) => {
      if (timer) clearTimeout(timer)
      timer = null
      if (allowed === false)
        return reject(new ApiError('rate_limited', 'Too many requests. Try again in a minute.'))
      if (allowed !== true) addWarning(c, `rate limit not applied: ${describe(allowed)}`)
      resolve()
    }
    try {
      Promise.resolve(rateLimiter.limit({ key: subject })).then(
        (answer) => finish(answer?.success),
        finish,
      )
    } catch (error) {
      finish(error)
    }
    // A timer costs more than the rest. A limiter that counts in memory has answered by then.
    SETTLED.then(() => {
      if (timer === undefined)
        timer = setTimeout(finish, LIMITER_TIMEOUT_MILLISECONDS, 'no response')
    })
  })
}
