import type { Context } from 'hono'
import { ApiError } from '../errors/api-error.ts'
import type { AppEnv } from './app-env.ts'

/**
 * Counts the request against `subject` in the Worker's rate limit, which holds for each Cloudflare location by itself.
 * Throws `rate_limited`.
 */
export async function countRequest(c: Context<AppEnv>, subject: string): Promise<void> {
  const { success } = await c.env.RATE_LIMITER.limit({ key: subject })
  if (!success) throw new ApiError('rate_limited', 'Too many requests; try again in a minute.')
}
