import { authenticate } from './http/authenticate.ts'
import { configure } from './http/configure.ts'
import { cors } from './http/cors.ts'
import { onError, onNotFound } from './http/errors.ts'
import { newApp } from './http/new-app.ts'
import { requestId } from './http/request-id.ts'
import { requestLog } from './http/request-log.ts'
import { responseHeaders } from './http/response-headers.ts'
import { checkUrl } from './http/validate.ts'
import { fileRoutes } from './routes/files.ts'
import { healthRoutes } from './routes/health.ts'
import { deliveryRoutes, linkRoutes } from './routes/links.ts'
import { tokenRoutes } from './routes/tokens.ts'

/** Everything that needs credentials. */
const api = newApp()
  .use(checkUrl, configure, authenticate)
  .route('/', fileRoutes)
  .route('/', linkRoutes)
  .route('/', tokenRoutes)

/** The whole Worker. `/u/:token/…` is the same API for clients that can't send headers. */
export const app = newApp()
  .use(requestId, requestLog, responseHeaders, cors)
  .onError(onError)
  .notFound(onNotFound)
  .route('/', healthRoutes)
  .route('/', deliveryRoutes)
  .route('/u/:token', api)
  .route('/', api)

/** For Hono's typed client, `hc<App>()`. */
export type App = typeof app
