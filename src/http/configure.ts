import type { MiddlewareHandler } from 'hono'
import { loadConfig } from '../config/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppEnv } from './app-env.ts'

/** Puts the configuration into `c.var.config`. Throws `misconfigured`, which `/healthz` explains. */
export const configure: MiddlewareHandler<AppEnv> = async function configure(c, next) {
  const loaded = loadConfig(c.env)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured: /healthz names the settings.')
  c.set('config', loaded.config)
  await next()
}
