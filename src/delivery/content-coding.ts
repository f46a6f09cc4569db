import { ApiError } from '../errors/api-error.ts'

/**
 * The codings of a `Content-Encoding` that a client must decode. Some servers keep `aws-chunked`,
 * which says how an object was uploaded.
 */
export const contentCodings = (header: string | null): string[] =>
  (header ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => !['', 'identity', 'aws-chunked'].includes(coding))

/**
 * Throws `encoding_not_acceptable` for an object whose coding the client doesn't name in
 * `Accept-Encoding` (RFC 9110, §12.5.3). A client that names none is refused too: Cloudflare would
 * decode the object for it, however large that makes it.
 */
export function requireCodings({ headers }: Response, request: Request): void {
  const codings = contentCodings(headers.get('content-encoding'))
  if (codings.length === 0) return
  const weights = new Map(
    clientAcceptEncoding(request)
      .toLowerCase()
      .split(',')
      .map((item) => {
        const [name = '', weight = 'q=1'] = item.split(';').map((part) => part.trim())
        return [name, Number(weight.slice('q='.length))]
      }),
  )
  if (codings.every((coding) => (weights.get(coding) ?? weights.get('*') ?? 0) > 0)) return
  throw new ApiError(
    'encoding_not_acceptable',
    `This object is stored encoded. Send Accept-Encoding: ${codings.join(', ')}.`,
  )
}

/** Cloudflare replaces the header, and says in `cf` what the client sent. */
const clientAcceptEncoding = ({ cf, headers }: Request): string =>
  cf === undefined ? (headers.get('accept-encoding') ?? '') : String(cf.clientAcceptEncoding ?? '')
