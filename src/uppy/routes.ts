import type { MiddlewareHandler } from 'hono'
import { admit } from '../http/admit.ts'
import { onNotFound } from '../http/answers.ts'
import type { AppEnv } from '../http/app-env.ts'
import { newApp } from '../http/new-app.ts'
import { companionRoutes } from './companion-routes.ts'
import { uppyDialect } from './dialect.ts'
import { formRoutes } from './form-routes.ts'
import { signRoutes } from './sign-routes.ts'

/**
 * Uppy 6 puts `/s3` behind an endpoint that ends in `/`. A browser repeats such a request where this
 * sends it, with its method and body.
 */
const withoutSecondSlash: MiddlewareHandler<AppEnv> = async function withoutSecondSlash(c) {
  const { pathname, search } = new URL(c.req.url)
  const headers = { Location: pathname.replace('//s3/', '/s3/') + search }
  return new Response(null, { status: 308, headers })
}

/** What needs credentials. */
const protectedRoutes = newApp()
  .all('//s3/*', withoutSecondSlash)
  .use('/s3/*', uppyDialect, admit)
  .route('/', companionRoutes)
  .route('/', signRoutes)
  .all('/s3/*', onNotFound)

/** Everything under `/s3`, where Uppy asks, and under `/u/:token/s3`. */
export const uppyRoutes = newApp()
  .route('/', formRoutes)
  .route('/u/:token', protectedRoutes)
  .route('/', protectedRoutes)
