import type { LinkPolicy } from '../access/link-signature.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { MAX_REPLACEABLE_SECONDS } from '../bucket/limits.ts'
import { keyCreatedAt } from '../keys/new-key.ts'
import { keyRunsScript } from '../keys/script-types.ts'
import { contentCodings } from './content-coding.ts'
import { attachment } from './content-disposition.ts'
import { parseMediaType } from './media-type.ts'
import { preconditionStatus } from './preconditions.ts'

const VALIDATORS = ['etag', 'last-modified']

/** The headers of the `Objects` answer that a client may see. */
const SHOWN_HEADERS = [
  ...VALIDATORS,
  'accept-ranges',
  'content-language',
  'content-length',
  'content-range',
  'content-type',
]

/**
 * The answer of a link, made of the answer of `Objects` and of what the link, the bucket and the origin
 * allow: `sharesOrigin` where an app has the same origin.
 */
export function toClientResponse(
  object: Response,
  request: Headers,
  policy: LinkPolicy,
  bucket: Bucket,
  now: Date,
  sharesOrigin: boolean,
): Response {
  const status = preconditionStatus(request, object.headers) ?? object.status
  const isWhole = status === 200 || status === 206
  const headers = new Headers({
    'Cache-Control': isWhole || status === 304 ? browserLifetime(policy, bucket, now) : 'no-store',
    'Cache-Status': cacheStatus(object.headers),
    'Cross-Origin-Resource-Policy': bucket.crossOriginResourcePolicy,
  })
  const shown = isWhole ? SHOWN_HEADERS : status === 416 ? ['content-range'] : VALIDATORS
  for (const name of shown) {
    const value = object.headers.get(name)
    if (value !== null) headers.set(name, value)
  }
  const codings = contentCodings(object.headers.get('content-encoding'))
  if (codings.length > 0) headers.set('Vary', 'Accept-Encoding, Origin')
  if (!isWhole) {
    void object.body?.cancel()
    return new Response(null, { status, headers })
  }
  if (codings.length > 0) headers.set('Content-Encoding', codings.join(', '))
  contain(headers, policy, sharesOrigin)
  return new Response(object.body, { status, headers, encodeBody: 'manual' })
}

/**
 * Lets a browser show inert types alone. Everything else, and what isn't one media type, becomes an
 * attachment in a sandbox. A key whose extension can run script, and a name to save under, make an
 * attachment of anything.
 *
 * Next to an app, only images, sound and video are shown: a text or a PDF would appear under the app's
 * name. What isn't inert loses its type: a script, or a style, would be one of the app's own.
 */
function contain(headers: Headers, { key, download }: LinkPolicy, sharesOrigin: boolean): void {
  const type = parseMediaType(headers.get('content-type') ?? '')
  const isHarmless = (sharesOrigin ? type?.isMedia : type?.isInert) === true
  const isShown = isHarmless && !keyRunsScript(key)
  const keepsType = !sharesOrigin || type?.isInert === true
  headers.set('Content-Type', (keepsType && type?.contentType) || 'application/octet-stream')
  if (!isShown) headers.set('Content-Security-Policy', "sandbox; default-src 'none'")
  if (!isShown || download !== null) headers.set('Content-Disposition', attachment(download))
}

/**
 * Never longer than the link; an object that may change is checked again when its copy expires.
 * One with a key that was made here can't change once every URL that could replace it has expired,
 * and the edge copy of what it replaced has ended.
 */
function browserLifetime({ key, expires }: LinkPolicy, bucket: Bucket, now: Date): string {
  const left = Math.max(0, expires - Math.ceil(now.getTime() / 1000))
  const settledAt = keyCreatedAt(key) + (MAX_REPLACEABLE_SECONDS + bucket.edgeTtlSeconds) * 1000
  if (now.getTime() > settledAt) return `private, max-age=${left}, immutable`
  return `private, max-age=${Math.min(left, bucket.edgeTtlSeconds)}`
}

/**
 * `Cache-Status` (RFC 9211) for what Cloudflare says of its cache, and for what may not be kept at
 * all.
 */
function cacheStatus(object: Headers): string {
  if (object.get('cache-control') === 'no-store') return 'edge-presigner; fwd=bypass'
  switch (object.get('cf-cache-status')) {
    case 'HIT':
    case 'STALE':
    case 'UPDATING':
      return 'edge-presigner; hit'
    case 'MISS':
      return 'edge-presigner; fwd=uri-miss; stored'
    case 'EXPIRED':
    case 'REVALIDATED':
      return 'edge-presigner; fwd=stale; stored'
    default:
      return 'edge-presigner; fwd=bypass'
  }
}
