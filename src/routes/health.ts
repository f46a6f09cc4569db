import { Hono } from 'hono'
import { loadConfig } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppEnv } from '../http/app-env.ts'

/** `GET /healthz`: open to all, names what is misconfigured by its path, never by its value. */
export const healthRoutes = new Hono<AppEnv>().get('/healthz', (c) => {
  const loaded = loadConfig(c.env)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured.', { issues: loaded.issues })
  return c.json({ status: 'ok' as const })
})
