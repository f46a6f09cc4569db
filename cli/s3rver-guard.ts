import type { Middleware } from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import { type Callers, isKnownHost, isKnownOrigin } from './loopback.ts'

const BUCKET_PATH = /^\/[a-z0-9][a-z0-9.-]*\/?$/
const OBJECT_PATH = /^\/[a-z0-9][a-z0-9.-]*(?:\/|$)/

/**
 * Returns Koa middleware that runs before s3rver, which trusts every request to its port. It
 * accepts what a private bucket accepts: signed requests, forms (`checkedPostObject` checks their
 * policy) and preflights. It refuses a host that isn't this machine. A page of another origin than
 * those in `options` may not write. The guard removes its Origin header, so that the page can't
 * read responses. s3rver itself verifies signatures.
 */
export const s3rverGuard =
  (options: Omit<Callers, 'bucketPort'>): Middleware =>
  async (ctx, next) => {
    const callers = { ...options, bucketPort: ctx.req.socket.localPort }
    const { url = '', headers } = ctx.req
    // After DNS rebinding to 127.0.0.1, Host still has the name of the foreign page.
    if (!isKnownHost(headers.host, callers))
      throw denied('This server accepts requests from this machine only.')
    if (!url.startsWith('/') || !(ctx.path === '/' || OBJECT_PATH.test(ctx.path)))
      throw new S3Error('InvalidURI', 'The path must be /bucket or /bucket/key.')
    requireOnce(Object.keys(ctx.query), Object.values(ctx.query))

    const { origin } = headers
    if (origin !== undefined && !isKnownOrigin(origin, callers)) {
      if (ctx.method !== 'GET' && ctx.method !== 'HEAD') throw denied('This origin may not write.')
      delete headers.origin
    }

    // Without this, s3rver verifies no signature in a bucket that has a website configuration.
    ctx.state.service = 's3'
    if ('website' in ctx.query)
      throw new S3Error('NotImplemented', 'Website configurations are not supported.')

    const preflight = ctx.method === 'OPTIONS' && 'access-control-request-method' in headers
    if (!preflight && !isSigned(ctx) && !isForm(ctx)) throw denied('Access Denied')
    await next()
  }

/**
 * Tells whether s3rver will verify a version 4 signature. It looks for one of three marks, in
 * exactly this spelling. A request without a mark passes as unsigned, and one with two marks is
 * ambiguous.
 */
function isSigned({ query, req: { headers } }: Parameters<Middleware>[0]): boolean {
  const { authorization } = headers
  if (authorization !== undefined)
    return authorization.startsWith('AWS4-HMAC-SHA256 ') && !('X-Amz-Algorithm' in query)
  return query['X-Amz-Algorithm'] === 'AWS4-HMAC-SHA256' && Boolean(query['X-Amz-Signature'])
}

/** Tells whether this is S3 PostObject, which has its signature in the form. */
const isForm = (ctx: Parameters<Middleware>[0]): boolean =>
  ctx.method === 'POST' &&
  BUCKET_PATH.test(ctx.path) &&
  Object.keys(ctx.query).length === 0 &&
  /^multipart\/form-data *;/i.test(ctx.req.headers['content-type'] ?? '')

/** Throws if a query parameter appears twice, also with a different letter case. */
function requireOnce(names: readonly string[], values: readonly unknown[]): void {
  const distinct = new Set(names.map((name) => name.toLowerCase()))
  if (distinct.size < names.length || values.some(Array.isArray))
    throw new S3Error('InvalidArgument', 'A query parameter may appear only once.')
}

const denied = (message: string): S3Error => new S3Error('AccessDenied', message)
