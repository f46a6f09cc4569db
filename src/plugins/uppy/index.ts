import type { MiddlewareHandler } from 'hono'
import { admit } from '../../http/admit.ts'
import type { AppEnv } from '../../http/app-env.ts'
import { newApp } from '../../http/new-app.ts'
import { onNotFound } from '../../http/responses.ts'
import type { Plugin } from '../../plugin.ts'
import type { Multipart, MultipartSteps } from '../multipart/index.ts'
import { companionRoutes } from './companion-routes.ts'
import { uppyDialect } from './dialect.ts'
import { s3Routes } from './s3-routes.ts'
import { signRoutes } from './sign-routes.ts'

/** Redirects from `//s3`: Uppy 6 appends `/s3` to an endpoint's `/`. Method and body stay. */
const withoutSecondSlash: MiddlewareHandler<AppEnv> = async function withoutSecondSlash(c) {
  const { pathname, search } = new URL(c.req.url)
  const headers = { Location: pathname.replace('//s3/', '/s3/') + search }
  return new Response(null, { status: 308, headers })
}

/** Everything under `/s3`, which Uppy calls, and under `/u/:token/s3`. */
function uppyRoutes(steps: MultipartSteps) {
  const protectedRoutes = newApp()
    .all('//s3/*', withoutSecondSlash)
    .use('/s3/*', uppyDialect, admit)
    .route('/', companionRoutes(steps))
    .route('/', signRoutes(steps))
    .all('/s3/*', onNotFound)
  return newApp()
    .route('/', s3Routes(steps))
    .route('/u/:token', protectedRoutes)
    .route('/', protectedRoutes)
}

/** Everything below `/s3`, which Uppy calls. */
export const uppy = (): Plugin<unknown, { readonly multipart: Multipart }> => ({
  name: 'uppy',
  needs: ['multipart'],
  open: ({ multipart }) => uppyRoutes(multipart.steps),
})
