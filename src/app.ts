import { admit } from './http/admit.ts'
import { cors } from './http/cors.ts'
import { onError, onNotFound } from './http/errors.ts'
import { frame } from './http/frame.ts'
import { newApp } from './http/new-app.ts'
import { fileRoutes } from './routes/files.ts'
import { healthRoutes } from './routes/health.ts'
import { deliveryRoutes, linkRoutes } from './routes/links.ts'
import { tokenRoutes } from './routes/tokens.ts'

/** Everything that needs credentials. */
const api = newApp()
  .use(admit)
  .route('/', fileRoutes)
  .route('/', linkRoutes)
  .route('/', tokenRoutes)

/** The whole Worker. `/u/:token/…` is the same API for clients that can't send headers. */
export const app = newApp()
  .use(frame, cors)
  .onError(onError)
  .notFound(onNotFound)
  .route('/', healthRoutes)
  .route('/', deliveryRoutes)
  .route('/u/:token', api)
  .route('/', api)

/** For Hono's typed client, `hc<App>()`. */
export type App = typeof app
