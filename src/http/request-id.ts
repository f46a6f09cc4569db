import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './app-env.ts'

/**
 * Names the request, for its answer (`X-Request-Id`) and its line in the log. A name that the client sends is not taken:
 * nothing that comes from outside may stand in the log unread.
 */
export const requestId: MiddlewareHandler<AppEnv> = async function requestId(c, next) {
  const id = crypto.randomUUID()
  c.set('requestId', id)
  await next()
  c.header('X-Request-Id', id)
}
