// biome-ignore lint/style/noRestrictedImports: points up until the settings come in with the options
import { checkConfig } from '../cloudflare/settings/load.ts'
import { ApiError } from '../errors/api-error.ts'
import { newApp } from '../http/new-app.ts'

/** `GET /healthz`: open to all, names what is misconfigured by its path, never by its value. */
export const healthRoutes = newApp().get('/healthz', async (c) => {
  const loaded = await checkConfig(c.env)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The Worker is misconfigured.', { issues: loaded.issues })
  return c.json({ status: 'ok' as const })
})
