import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors/api-error.ts'
import { asksLinkHost } from '../settings/settings.ts'
import type { AppEnv } from './app-env.ts'

/**
 * Allows only links and `/healthz` on the host that serves only links, since an uploaded document
 * must not share its origin with the API or the page. Throws `not_found` for other paths.
 */
export const linkHost: MiddlewareHandler<AppEnv> = function linkHost(c, next) {
  const loaded = c.env.instance.settings
  if (
    loaded.ok &&
    asksLinkHost(loaded.settings, c.req.url) &&
    !/^\/(?:i\/|healthz$)/.test(c.req.path)
  )
    throw new ApiError('not_found', 'There is no such route.')
  return next()
}
