import { cors as honoCors } from 'hono/cors'
import { loadConfig } from '../config/load.ts'
import type { AppEnv } from './app-env.ts'

/** CORS for the configured origins, and nothing for others. Preflights end here, before anyone is asked who they are. */
export const cors = honoCors({
  origin: (origin, { env }: { env: AppEnv['Bindings'] }) => {
    const loaded = loadConfig(env)
    return loaded.ok && loaded.config.corsOrigins.includes(origin) ? origin : null
  },
  allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
  allowHeaders: ['Authorization', 'Content-Type'],
  exposeHeaders: ['ETag', 'Location', 'X-Request-Id'],
  maxAge: 7200,
})
