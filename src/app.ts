import { admit } from './http/admit.ts'
import { onError, onNotFound } from './http/answers.ts'
import { cors } from './http/cors.ts'
import { frame } from './http/frame.ts'
import { linkHost } from './http/link-host.ts'
import { newApp } from './http/new-app.ts'
import { fileRoutes } from './routes/files.ts'
import { healthRoutes } from './routes/health.ts'
import { deliveryRoutes, linkRoutes } from './routes/links.ts'
import { multipartRoutes } from './routes/multipart.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { companionRoutes } from './uppy/companion-routes.ts'
import { uppyDialect } from './uppy/dialect.ts'
import { signRoutes } from './uppy/sign-routes.ts'

/**
 * Everything that needs credentials. A request ends here, also where no route matches: behind
 * `/u/:token` stands the same API once more, which would ask for credentials again.
 */
const api = newApp()
  .use('/s3/*', uppyDialect)
  .use(admit)
  .route('/', fileRoutes)
  .route('/', linkRoutes)
  .route('/', multipartRoutes)
  .route('/', tokenRoutes)
  .route('/', companionRoutes)
  .route('/', signRoutes)
  .all('*', onNotFound)

/** The whole Worker. `/u/:token/…` is the same API for clients that can't send headers. */
export const app = newApp()
  .use(frame, linkHost, cors)
  .onError(onError)
  .route('/', healthRoutes)
  .route('/', deliveryRoutes)
  .route('/u/:token', api)
  .route('/', api)
