import type { MiddlewareHandler } from 'hono'
import { cors as honoCors } from 'hono/cors'
import { loadConfig } from '../config/load.ts'
import type { AppEnv } from './app-env.ts'

/** Headers of a request are not limited: an origin that is let in may send credentials in any that is configured. */
const allow = honoCors({
  origin: (origin) => origin,
  allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
  exposeHeaders: ['ETag', 'Location', 'X-Request-Id'],
  maxAge: 7200,
})

/** CORS for the configured origins, and nothing for others. Preflights end here, before anyone is asked who they are. */
export const cors: MiddlewareHandler<AppEnv> = async function cors(c, next) {
  const loaded = loadConfig(c.env)
  const origin = c.req.header('Origin')
  if (loaded.ok && origin !== undefined && loaded.config.corsOrigins.includes(origin))
    return allow(c, next)
  await next()
  c.header('Vary', 'Origin', { append: true })
}
