import { httpDate, listItems } from './field-syntax.ts'

/** Returns an entity tag without its mark as weak, for the weak comparison (§8.8.3.2). */
export const opaqueTag = (etag: string): string => etag.replace(/^W\//, '')

/** Tells whether `If-Match` names this representation, by the strong comparison. */
const matchesStrongly = (header: string, etag: string | null): boolean =>
  header.trim() === '*' ||
  (etag !== null && !etag.startsWith('W/') && listItems(header).includes(etag))

/** Tells whether `If-None-Match` names this representation, by the weak comparison. */
const matchesWeakly = (header: string, etag: string | null): boolean =>
  header.trim() === '*' ||
  (etag !== null && listItems(header).map(opaqueTag).includes(opaqueTag(etag)))

/**
 * Returns the status for a request's conditions, or null to send the representation (RFC 9110,
 * §13.2.2). Ignores dates that are not HTTP-dates. `Last-Modified` has whole seconds too.
 */
export function preconditionStatus(
  request: Headers,
  representation: Headers,
  now: Date,
): 304 | 412 | null {
  const etag = representation.get('etag')
  const modified = Date.parse(representation.get('last-modified') ?? '')

  const ifMatch = request.get('if-match')
  const ifUnmodifiedSince = httpDate(request.get('if-unmodified-since'), now)
  if (ifMatch !== null) {
    if (!matchesStrongly(ifMatch, etag)) return 412
  } else if (modified > ifUnmodifiedSince) return 412

  const ifNoneMatch = request.get('if-none-match')
  const ifModifiedSince = httpDate(request.get('if-modified-since'), now)
  if (ifNoneMatch !== null) return matchesWeakly(ifNoneMatch, etag) ? 304 : null
  return modified <= ifModifiedSince ? 304 : null
}

/** Tells whether `If-Range` has a strong validator of this representation (§13.1.5). */
export function rangeIsCurrent(ifRange: string | null, representation: Headers): boolean {
  if (ifRange === null) return true
  if (ifRange.startsWith('"')) return ifRange === representation.get('etag')
  return ifRange === representation.get('last-modified')
}

/** Tells whether a request has any condition or `If-Range`. */
export const isConditional = (request: Headers): boolean =>
  ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range'].some(
    (name) => request.has(name),
  )
