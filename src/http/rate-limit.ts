import type { Context } from 'hono'
import { ApiError } from '../errors/api-error.ts'
import type { AppEnv } from './app-env.ts'

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
 * Counts the request against `subject` in the Worker's rate limit, which holds for each Cloudflare
 * location by itself. Throws `rate_limited`.
 */
export async function countRequest(c: Context<AppEnv>, subject: string): Promise<void> {
  const { success } = await c.env.RATE_LIMITER.limit({ key: subject })
  if (!success) throw new ApiError('rate_limited', 'Too many requests; try again in a minute.')
}
