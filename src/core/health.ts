import { ApiError } from '../errors/api-error.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { whyInvalid } from '../settings/define.ts'

/** `GET /healthz`, without authentication. Names invalid settings by path, never by value. */
export const healthRoutes = newApp().get('/healthz', async (c) => {
  const { settings, ready } = c.env.instance
  const loaded = await ready(settings)
  if (!loaded.ok)
    throw new ApiError('misconfigured', 'The settings are not valid.', {
      reason: 'settings',
      issues: loaded.issues,
      cause: whyInvalid(loaded),
    })
  const { instance } = c.env
  const { keepsCopies, resizesImages } = instance.objects(c.executionCtx)
  const warnings = instance.warnings(c.executionCtx)
  return json(c, {
    status: 'ok' as const,
    edgeCache: keepsCopies,
    ...(resizesImages ? { images: true as const } : {}),
    ...(warnings.length === 0 ? {} : { warnings }),
  })
})
