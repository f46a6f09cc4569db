import type { Middleware } from '@20minutes/s3rver'
import S3Error from '@20minutes/s3rver/lib/models/error.js'
import { type Callers, isKnownHost, isKnownOrigin } from './loopback.ts'

const BUCKET_PATH = /^\/[a-z0-9][a-z0-9.-]*\/?$/
const OBJECT_PATH = /^\/[a-z0-9][a-z0-9.-]*(?:\/|$)/

/**
 * Koa middleware for the front of s3rver, which believes whoever reaches its port. It lets in what
 * a bucket without public access would: signed requests, forms (`checkedPostObject` looks at their
 * policy) and preflights; none of them for a host that isn't this machine. A page of an origin that
 * isn't one of `options` may not write, and s3rver doesn't learn of its origin, so that the page can
 * read no answer. Whether a signature is right is up to s3rver.
 */
export const s3rverGuard =
  (options: Omit<Callers, 'bucketPort'>): Middleware =>
  async (ctx, next) => {
    const callers = { ...options, bucketPort: ctx.req.socket.localPort }
    const { url = '', headers } = ctx.req
    // The name of a page that was rebound to 127.0.0.1 stays in Host.
    if (!isKnownHost(headers.host, callers))
      throw denied('This server answers for this machine only.')
    if (!url.startsWith('/') || !(ctx.path === '/' || OBJECT_PATH.test(ctx.path)))
      throw new S3Error('InvalidURI', 'The path must be /bucket or /bucket/key.')
    requireOnce(Object.keys(ctx.query), Object.values(ctx.query))

    const { origin } = headers
    if (origin !== undefined && !isKnownOrigin(origin, callers)) {
      if (ctx.method !== 'GET' && ctx.method !== 'HEAD') throw denied('This origin may not write.')
      delete headers.origin
    }

    // Otherwise s3rver checks no signature in a bucket that has a website configuration.
    ctx.state.service = 's3'
    if ('website' in ctx.query) throw new S3Error('NotImplemented', 'No websites here.')

    const preflight = ctx.method === 'OPTIONS' && 'access-control-request-method' in headers
    if (!preflight && !isSigned(ctx) && !isForm(ctx)) throw denied('Access Denied')
    await next()
  }

/**
 * Whether s3rver will verify a signature of version 4. Its test is the presence of one of three
 * marks, in this very spelling; a request with none of them passes as unsigned, and one with two
 * is ambiguous.
 */
function isSigned({ query, req: { headers } }: Parameters<Middleware>[0]): boolean {
  const { authorization } = headers
  if (authorization !== undefined)
    return authorization.startsWith('AWS4-HMAC-SHA256 ') && !('X-Amz-Algorithm' in query)
  return query['X-Amz-Algorithm'] === 'AWS4-HMAC-SHA256' && Boolean(query['X-Amz-Signature'])
}

/** S3 PostObject, which brings its signature in the form. */
const isForm = (ctx: Parameters<Middleware>[0]): boolean =>
  ctx.method === 'POST' &&
  BUCKET_PATH.test(ctx.path) &&
  Object.keys(ctx.query).length === 0 &&
  /^multipart\/form-data *;/i.test(ctx.req.headers['content-type'] ?? '')

/** Throws where a query parameter comes twice, also where the letter case differs. */
function requireOnce(names: readonly string[], values: readonly unknown[]): void {
  const distinct = new Set(names.map((name) => name.toLowerCase()))
  if (distinct.size < names.length || values.some(Array.isArray))
    throw new S3Error('InvalidArgument', 'A query parameter may appear only once.')
}

const denied = (message: string): S3Error => new S3Error('AccessDenied', message)
