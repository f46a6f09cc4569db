import type { LinkPolicy } from '../../access/link-signature.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { MAX_REPLACEABLE_SECONDS } from '../../bucket/limits.ts'
import { attachment } from '../../core/content-disposition.ts'
import { isNewObjectKey, keyCreatedAt } from '../../keys/new-key.ts'
import { keyRunsScript } from '../../keys/script-types.ts'
import { contentCodings } from './content-coding.ts'
import { parseMediaType } from './media-type.ts'
import { preconditionStatus } from './preconditions.ts'

const VALIDATORS = ['etag', 'last-modified']

/** The headers of a response of `Objects` that a client may receive. */
const SHOWN_HEADERS = [
  ...VALIDATORS,
  ...'accept-ranges content-language content-length content-range content-type'.split(' '),
]

/** Returns the client's response to a link. `sharesOrigin` if an app uses the same origin. */
export function toClientResponse(
  object: Response,
  request: Headers,
  policy: LinkPolicy,
  { bucket, sharesOrigin }: { readonly bucket: ConfiguredBucket; readonly sharesOrigin: boolean },
  now: Date,
): Response {
  const status = preconditionStatus(request, object.headers, now) ?? object.status
  const isWhole = status === 200 || status === 206
  const headers = new Headers({
    'Cache-Control': isWhole || status === 304 ? browserLifetime(policy, bucket) : 'no-store',
    'Cache-Status': cacheStatus(object.headers),
    'Cross-Origin-Resource-Policy': bucket.crossOriginResourcePolicy,
  })
  const shown = isWhole ? SHOWN_HEADERS : status === 416 ? ['content-range'] : VALIDATORS
  for (const name of shown) {
    const value = object.headers.get(name)
    if (value !== null) headers.set(name, value)
  }
  const codings = contentCodings(object.headers.get('content-encoding'))
  if (policy.variant?.format === 'auto') headers.set('Vary', 'Accept, Origin')
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
 * Lets a browser show only inert types. Everything else, and a malformed type, becomes an
 * attachment in a sandbox. An extension that can run scripts, or a name to save under, always makes
 * an attachment. On the origin of an app, a browser may show only images, audio and video, since a
 * text or a PDF would look like the app's own page. Others become a neutral type: a script or a
 * style would count as the app's.
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
 * Returns the Cache-Control for the browser, never longer than the link. An object with a generated
 * key is checked again when its copy expires. It can no longer change once every URL that could
 * replace it has expired, and then the edge copy of an object that it replaced. The object under
 * any other key may be replaced at any time, so browsers always ask whether their copy is current.
 */
function browserLifetime(
  { key, expires, restrictions }: LinkPolicy,
  bucket: ConfiguredBucket,
): string {
  // A device may move to another network or country.
  if (restrictions !== undefined) return 'no-store'
  if (!isNewObjectKey(key)) return 'private, no-cache'
  // The bucket may have needed a while since the request came.
  const now = Date.now()
  const left = Math.max(0, expires - Math.ceil(now / 1000))
  const finalAt = keyCreatedAt(key) + (MAX_REPLACEABLE_SECONDS + bucket.edgeTtlSeconds) * 1000
  if (now > finalAt) return `private, max-age=${left}, immutable`
  return `private, max-age=${Math.min(left, bucket.edgeTtlSeconds)}`
}

/** Returns `Cache-Status` (RFC 9211), without `stored`, since the bucket may still cut the body. */
function cacheStatus(object: Headers): string {
  const isKept = object.get('cache-control') !== 'no-store'
  const known = isKept && CACHE_STATUS[object.get('cf-cache-status') ?? '']
  return `edge-presigner; ${known || 'fwd=bypass'}`
}

const CACHE_STATUS: Readonly<Partial<Record<string, string>>> = {
  HIT: 'hit',
  STALE: 'hit',
  UPDATING: 'hit',
  MISS: 'fwd=uri-miss',
  EXPIRED: 'fwd=stale',
  REVALIDATED: 'fwd=stale',
}
