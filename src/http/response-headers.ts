import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './app-env.ts'

/**
 * The headers of every answer, errors and preflights included: nobody keeps it (unless it says so itself), sniffs it or
 * passes its URL on.
 */
export const responseHeaders: MiddlewareHandler<AppEnv> = async function responseHeaders(c, next) {
  await next()
  if (!c.res.headers.has('Cache-Control')) c.header('Cache-Control', 'no-store')
  c.header('Referrer-Policy', 'no-referrer')
  c.header('X-Content-Type-Options', 'nosniff')
}
