import { admit } from '../http/admit.ts'
import { onNotFound } from '../http/answers.ts'
import { newApp } from '../http/new-app.ts'
import { companionRoutes } from './companion-routes.ts'
import { uppyDialect } from './dialect.ts'
import { formRoutes } from './form-routes.ts'
import { signRoutes } from './sign-routes.ts'

/** What needs credentials. */
const protectedRoutes = newApp()
  .use('/s3/*', uppyDialect, admit)
  .route('/', companionRoutes)
  .route('/', signRoutes)
  .all('/s3/*', onNotFound)

/** Everything under `/s3`, where Uppy asks, and under `/u/:token/s3`. */
export const uppyRoutes = newApp()
  .route('/', formRoutes)
  .route('/u/:token', protectedRoutes)
  .route('/', protectedRoutes)
