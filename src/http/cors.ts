import type { MiddlewareHandler } from 'hono'
import { cors as honoCors } from 'hono/cors'
import type { AppEnv } from './app-env.ts'

/**
 * Headers of a request are not limited: an origin that is let in may send credentials in any that
 * is configured.
 */
const allow = honoCors({
  origin: (origin) => origin,
  allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
  exposeHeaders: ['ETag', 'Location', 'Retry-After', 'X-Request-Id'],
  maxAge: 7200,
})

/**
 * CORS for the configured origins, and nothing for others (`Vary: Origin` comes with the headers of
 * every answer). Preflights end here, before anyone is asked who they are.
 */
export const cors: MiddlewareHandler<AppEnv> = function cors(c, next) {
  const origin = c.req.header('Origin')
  if (origin === undefined) return next()
  const loaded = c.env.instance.settings
  return loaded.ok && loaded.settings.corsOrigins.includes(origin) ? allow(c, next) : next()
}
