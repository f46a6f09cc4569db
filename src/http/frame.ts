import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './app-env.ts'
import { logRequest } from './request-log.ts'
import { setResponseHeaders } from './response-headers.ts'

/**
 * Around every request: its id, the headers of its answer, its line in the log. One middleware and
 * not three, since each costs a request as much as a signature does. The id is never one that the
 * client sends: nothing that comes from outside may stand in the log unread.
 */
export const frame: MiddlewareHandler<AppEnv> = async function frame(c, next) {
  const start = Date.now()
  const requestId = crypto.randomUUID()
  c.set('requestId', requestId)
  await next()
  setResponseHeaders(c.res.headers, requestId)
  logRequest(c, Date.now() - start)
}
