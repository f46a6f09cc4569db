import * as z from 'zod/mini'
import { usableBuckets } from '../access/limits.ts'
import { userTag } from '../access/user-tag.ts'
import { newApp } from '../http/new-app.ts'
import { json } from '../http/responses.ts'
import { validateQuery } from '../http/validate.ts'

/** Tells what the caller may do. */
export const limitRoutes = newApp().get('/limits', validateQuery(z.strictObject({})), async (c) => {
  const principal = c.get('principal')
  const settings = c.get('settings')
  const { scopes, prefix, expiresAt, limits } = principal
  const buckets = usableBuckets(limits, settings).map(
    ({ alias: bucket, maxBytes, allowedTypes, maxExpiresIn }) => ({
      bucket,
      maxBytes,
      allowedTypes,
      maxExpiresIn,
    }),
  )
  const { fileIndex, plugins } = c.env.instance
  return json(c, {
    scopes,
    prefix,
    expiresAt: Number.isFinite(expiresAt) ? new Date(expiresAt).toISOString() : null,
    buckets,
    plugins,
    answers: fileIndex.answers !== undefined,
    tag: await userTag(settings.signingSecrets[0], principal),
  })
})
