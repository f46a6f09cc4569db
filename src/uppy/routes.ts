import { admit } from '../http/admit.ts'
import { onNotFound } from '../http/answers.ts'
import { newApp } from '../http/new-app.ts'
import { companionRoutes } from './companion-routes.ts'
import { uppyDialect } from './dialect.ts'
import { signRoutes } from './sign-routes.ts'

/** Everything under `/s3`, where Uppy asks. */
export const uppyRoutes = newApp()
  .use('/s3/*', uppyDialect, admit)
  .route('/', companionRoutes)
  .route('/', signRoutes)
  .all('/s3/*', onNotFound)
