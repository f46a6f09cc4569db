import { Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { TrieRouter } from 'hono/router/trie-router'
import type { AppEnv } from './http/app-env.ts'
import { authenticate } from './http/authenticate.ts'
import { configure } from './http/configure.ts'
import { cors } from './http/cors.ts'
import { onError, onNotFound } from './http/errors.ts'
import { requestLog } from './http/request-log.ts'
import { responseHeaders } from './http/response-headers.ts'
import { checkUrl } from './http/validate.ts'
import { fileRoutes } from './routes/files.ts'
import { healthRoutes } from './routes/health.ts'
import { tokenRoutes } from './routes/tokens.ts'

/** Everything that needs credentials. */
const api = new Hono<AppEnv>()
  .use(configure, authenticate)
  .route('/', fileRoutes)
  .route('/', tokenRoutes)

/** The whole Worker. Only this router takes a key with slashes in the middle of a route. `/u/:token/…` is the same API for clients that can't send headers. */
export const app = new Hono<AppEnv>({ router: new TrieRouter() })
  .use(requestId(), requestLog, responseHeaders, cors, checkUrl)
  .onError(onError)
  .notFound(onNotFound)
  .route('/', healthRoutes)
  .route('/u/:token', api)
  .route('/', api)

/** For Hono's typed client, `hc<App>()`. */
export type App = typeof app
