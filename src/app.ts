import { healthRoutes } from './core/health.ts'
import { uploadUrlRoutes } from './core/upload-urls.ts'
import { admit } from './http/admit.ts'
import { cors } from './http/cors.ts'
import { linkHost } from './http/link-host.ts'
import { newApp } from './http/new-app.ts'
import { onNotFound } from './http/responses.ts'
import { fileRoutes } from './plugins/files/routes.ts'
import { deliveryRoutes, linkRoutes } from './plugins/links/routes.ts'
import { multipartRoutes } from './plugins/multipart/routes.ts'
import { notificationRoutes } from './plugins/notifications/routes.ts'
import { tokenRoutes } from './plugins/tokens/routes.ts'
import { uppyRoutes } from './plugins/uppy/routes.ts'

/**
 * Everything that needs credentials. A request always ends here, even if no route matches. Without
 * that, a request to `/u/:token` would also reach the API below, which would require credentials
 * again.
 */
const api = newApp()
  .use(admit)
  .route('/', uploadUrlRoutes)
  .route('/', fileRoutes)
  .route('/', linkRoutes)
  .route('/', multipartRoutes)
  .route('/', tokenRoutes)
  .all('*', onNotFound)

/**
 * All routes of a presigner. `/u/:token/…` is the same API, for clients that can't send headers.
 */
export const app = newApp()
  .use(linkHost, cors)
  .route('/', healthRoutes)
  .route('/', deliveryRoutes)
  .route('/', uppyRoutes)
  .route('/', notificationRoutes)
  .route('/u/:token', api)
  .route('/', api)
