import type { MiddlewareHandler } from 'hono'
import { takesOrigin } from '../settings/settings.ts'
import type { AppEnv } from './app-env.ts'

/**
 * Lets pages of the configured origins read every response (`complete` and `json` add the headers),
 * and answers their preflights without authentication. Request headers are not limited, since a
 * configured header may carry the credential. Only `corsCookieOrigins` may send cookies, since the
 * app or a proxy may accept a cookie as a login.
 */
export const cors: MiddlewareHandler<AppEnv> = function cors(c, next) {
  const origin = c.req.header('Origin')
  if (origin === undefined) return next()
  const loaded = c.env.instance.settings
  if (!loaded.ok || !takesOrigin(loaded.settings, origin)) return next()
  const mayUseCookies = loaded.settings.corsCookieOrigins.includes(origin)
  c.set('corsHeaders', {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Expose-Headers':
      'Accept-Ranges,Content-Range,ETag,Location,Retry-After,X-Request-Id,X-User-Tag',
    ...(mayUseCookies ? { 'Access-Control-Allow-Credentials': 'true' } : {}),
  })
  if (c.req.method !== 'OPTIONS' || !c.req.header('Access-Control-Request-Method')) return next()
  const asked = c.req.header('Access-Control-Request-Headers')
  const headers = {
    'Access-Control-Max-Age': '7200',
    'Access-Control-Allow-Methods': 'GET,HEAD,POST,PATCH,DELETE,OPTIONS',
    ...(asked ? { 'Access-Control-Allow-Headers': asked.replace(/\s*,\s*/g, ',').trim() } : {}),
    Vary: 'Origin, Access-Control-Request-Headers',
  }
  return Promise.resolve(new Response(null, { status: 204, headers }))
}
