import type { Context } from 'hono'
import type { Config } from '../bucket/settings.ts'
// biome-ignore lint/style/noRestrictedImports: points up until the settings come in with the options
import { checkConfig } from '../cloudflare/settings/load.ts'
import { ApiError } from '../errors/api-error.ts'
import type { AppEnv } from './app-env.ts'

/**
 * The configuration, also for `c.var.config`. Throws `misconfigured`, which `/healthz` explains.
 */
export async function configure(c: Context<AppEnv>): Promise<Config> {
  const loaded = await checkConfig(c.env)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured: /healthz names the settings.')
  c.set('config', loaded.config)
  return loaded.config
}
