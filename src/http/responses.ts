import type { TypedResponse } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { JSONParsed } from 'hono/utils/types'
import {
  ApiError,
  asApiError,
  detailsOf,
  internalError,
  type Reason,
  statusOf,
} from '../errors/api-error.ts'
import { uriEncode } from '../keys/encodings.ts'
import type { AppContext } from './app-env.ts'

type Headers = Readonly<Record<string, string>>

/** Headers that a response may replace, and headers that every response has. */
const USUAL: Headers = { 'Cache-Control': 'no-store', Vary: 'Origin' }
const ALWAYS: Headers = { 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff' }
const OF_JSON: Headers = { 'Content-Type': 'application/json', ...USUAL, ...ALWAYS }

/** Returns `body` as JSON with all headers at once, since a later header costs time. */
export function json<Body, Status extends number = 200>(
  c: AppContext,
  body: Body,
  status?: Status,
  headers?: Headers,
): Response & TypedResponse<JSONParsed<Body>, Status & ContentfulStatusCode, 'json'> {
  const response = new Response(JSON.stringify(body), {
    status: status ?? 200,
    headers: {
      ...OF_JSON,
      'X-Request-Id': c.get('requestId'),
      ...c.env.userTag,
      ...c.get('corsHeaders'),
      ...headers,
    },
  })
  c.env.complete = response
  return response as ReturnType<typeof json<Body, Status>>
}

/** Adds the common headers to a response not from `json`, which may have its own Cache-Control. */
export function complete(c: AppContext, given: Response): Response {
  if (c.env.complete === given) return given
  let response = given
  try {
    given.headers.delete('X-Request-Id')
  } catch {
    // Headers that can't be changed, such as those of a fetched response.
    response = new Response(given.body, given)
  }
  const { headers } = response
  for (const [name, value] of Object.entries(USUAL))
    if (!headers.has(name)) headers.set(name, value)
  const own = { 'X-Request-Id': c.get('requestId'), ...c.env.userTag }
  const always = { ...ALWAYS, ...own, ...c.get('corsHeaders') }
  for (const [name, value] of Object.entries(always)) headers.set(name, value)
  return response
}

/** Returns 201 with the record of a file and its location. */
export const created = <FileRecord extends { readonly key: string; readonly bucket: string }>(
  c: AppContext,
  record: FileRecord,
): Response & TypedResponse<JSONParsed<FileRecord>, 201, 'json'> =>
  json(c, record, 201, {
    Location: `${c.env.host.mountPath}/files/${uriEncode(record.key)}?bucket=${record.bucket}`,
  })

/** Returns the error for what a handler threw, or `internal` if it isn't from this package. */
export function onError(thrown: unknown, c: AppContext): Response {
  c.set('failure', thrown ?? String(thrown))
  const error = asApiError(thrown) ?? internalError(thrown)
  const { code, message } = error
  const status = statusOf(error)
  const retryAfter = error.retryAfterSeconds ?? (code === 'rate_limited' ? 60 : undefined)
  const headers = {
    ...(code === 'unauthenticated' ? { 'WWW-Authenticate': challenge(c, error.reason) } : {}),
    ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
  }
  const requestId = c.get('requestId')
  const own = c.get('errorResponse')?.({ code, message, requestId }, status, headers)
  if (own !== undefined) return complete(c, own)
  return json(
    c,
    {
      ...c.get('errorMembers')?.(message),
      message,
      code,
      requestId,
      ...detailsOf(error),
    },
    status,
    headers,
  )
}

/** Returns the challenge of RFC 6750, §3.1, with an error only if there is a credential. */
const challenge = (c: AppContext, reason: Reason | undefined): string =>
  reason === 'missing' || (c.req.header('Authorization') ?? c.req.param('token')) === undefined
    ? 'Bearer'
    : 'Bearer error="invalid_token"'

export const NO_ROUTE = 'There is no such route.'

/** Returns the response if no route matches. */
export const onNotFound = (c: AppContext): Response =>
  onError(new ApiError('not_found', NO_ROUTE), c)
