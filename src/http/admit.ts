import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './app-env.ts'
import { authenticate } from './authenticate.ts'
import { configure } from './configure.ts'
import { checkUrl } from './validate.ts'

/**
 * Before everything that needs credentials: a URL that means one thing, a sound configuration, and
 * who asks.
 */
export const admit: MiddlewareHandler<AppEnv> = async function admit(c, next) {
  checkUrl(c.req.url)
  c.set('principal', await authenticate(c, await configure(c)))
  await next()
}
