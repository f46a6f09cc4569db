import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './app-env.ts'
import { logRequest } from './request-log.ts'

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

/**
 * Sets the headers of every answer, errors and preflights included: nobody keeps it (unless it says
 * so itself), sniffs it or passes its URL on, and what it is for one origin (CORS) it isn't for
 * another. On the answer itself, since Hono's `c.header` copies a response that is there already.
 */
export function setResponseHeaders(headers: Headers, requestId: string): void {
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
  if (!headers.has('Vary')) headers.set('Vary', 'Origin')
  headers.set('Referrer-Policy', 'no-referrer')
  headers.set('X-Content-Type-Options', 'nosniff')
  headers.set('X-Request-Id', requestId)
}
