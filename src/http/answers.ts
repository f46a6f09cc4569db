import type { Context } from 'hono'
import { ApiError, STATUS_BY_CODE } from '../errors/api-error.ts'
import { uriEncode } from '../keys/uri-encode.ts'
import type { AppEnv } from './app-env.ts'

/** Says in an answer with status 201 where the record of a file is found. */
export function setLocation(
  c: Context<AppEnv>,
  { key, bucket }: { readonly key: string; readonly bucket: string },
): void {
  c.header('Location', `${c.env.host.mountPath}/files/${uriEncode(key)}?bucket=${bucket}`)
}

/**
 * Turns what a handler threw into the one error shape. What isn't an ApiError becomes `internal`
 * and tells nothing.
 */
export function onError(thrown: Error, c: Context<AppEnv>): Response {
  c.set('fault', thrown)
  const error =
    thrown instanceof ApiError ? thrown : new ApiError('internal', 'Something went wrong here.')
  if (error.code === 'unauthenticated') c.header('WWW-Authenticate', 'Bearer')
  const { code, message, issues } = error
  const retryAfter =
    code === 'rate_limited' || code === 'purge_failed' ? 60 : error.retryAfterSeconds
  if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter))
  return c.json(
    {
      ...c.get('errorMembers')?.(message),
      message,
      code,
      requestId: c.get('requestId'),
      ...(issues.length === 0 ? {} : { issues }),
    },
    STATUS_BY_CODE[code],
  )
}

/** The answer where no route matches. */
export const onNotFound = (c: Context<AppEnv>): Response =>
  onError(new ApiError('not_found', 'There is no such route.'), c)
