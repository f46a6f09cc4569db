import type { MiddlewareHandler } from 'hono'
import { ApiError } from '../errors/api-error.ts'
import { asksLinkHost, type Settings } from '../settings/settings.ts'
import type { AppContext, AppEnv } from './app-env.ts'
import { NO_ROUTE } from './responses.ts'
import { ON_WORKERS } from './runtime.ts'

/**
 * Throws `not_found` except below the presigner's own path. A host that serves only links has only
 * these, the pages of grants and drop boxes, `/healthz`, and what a plugin's credentials need there:
 * an uploaded document must not share its origin with the rest of the API or the page.
 */
export const linkHost: MiddlewareHandler<AppEnv> = function linkHost(c, next) {
  const loaded = c.env.instance.settings
  if (
    c.req.path === '' ||
    (loaded.ok &&
      asksLinkHost(loaded.settings, askedUrl(c)) &&
      !/^\/(?:[dfgi]\/|healthz$)/.test(c.req.path) &&
      !c.env.instance.own.some((kind) => kind.onLinkHost?.(c, loaded.settings)))
  )
    throw new ApiError('not_found', NO_ROUTE)
  return next()
}

/** Returns the URL with the client's host: a server like Next.js puts its own in `request.url`. */
export function askedUrl(c: AppContext): string {
  const host = ON_WORKERS ? undefined : c.req.header('Host')
  if (host === undefined) return c.req.url
  const url = new URL(c.req.url)
  url.port = ''
  url.host = host
  return url.href
}

/**
 * Returns the URL of this presigner as clients see it, or null if it is unknown. With
 * `linkHostOnly`, `linkBase` is only the host of links, but has the same protocol.
 */
export function ownBase(c: AppContext, { linkBase, linkHostOnly }: Settings): string | null {
  if (linkBase !== null && !linkHostOnly) return linkBase
  if (linkBase === null && !ON_WORKERS) return null
  const { protocol, host } = new URL(askedUrl(c))
  const scheme = ON_WORKERS || linkBase === null ? protocol : new URL(linkBase).protocol
  return `${scheme}//${host}${c.env.host.mountPath}`
}

/** Returns the URL before `/i/…` in links, and `/g/…` and `/d/…` in pages. Throws `misconfigured`. */
export function linkBase(c: AppContext): string {
  const settings = c.get('settings')
  return settings.linkBase ?? requireBase(ownBase(c, settings))
}

/** Returns `base`. Throws `misconfigured` if it is unknown. */
export function requireBase(base: string | null): string {
  if (base !== null) return base
  const path = 'linkBase'
  const message = 'is missing. Set it to the URL for clients, such as https://app.example.com/media'
  throw new ApiError(
    'misconfigured',
    'Outside Cloudflare Workers, links need the setting linkBase.',
    { reason: 'settings', issues: [{ path, message }], cause: path },
  )
}
