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
