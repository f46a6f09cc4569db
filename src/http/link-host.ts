import type { MiddlewareHandler } from 'hono'
// biome-ignore lint/style/noRestrictedImports: points up until the settings come in with the options
import { loadConfig } from '../cloudflare/settings/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { Settings } from '../settings/settings.ts'
import type { AppEnv } from './app-env.ts'

/** Whether `url` has the host, and the port, that links have to themselves. */
export const asksLinkHost = ({ linkOrigin }: Settings, url: string): boolean =>
  linkOrigin !== null && new URL(url).host === new URL(linkOrigin).host

/**
 * Answers nothing but links and `/healthz` on the host of `LINK_ORIGIN`: an uploaded document must
 * not share its origin with the API or the page. Throws `not_found`.
 */
export const linkHost: MiddlewareHandler<AppEnv> = function linkHost(c, next) {
  const loaded = loadConfig(c.env)
  if (
    loaded.ok &&
    asksLinkHost(loaded.config, c.req.url) &&
    !/^\/(?:i\/|healthz$)/.test(c.req.path)
  )
    throw new ApiError('not_found', 'There is no such route.')
  return next()
}
