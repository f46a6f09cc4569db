import { ApiError } from '../../errors/api-error.ts'
import { weightsIn } from './field-syntax.ts'

/** Returns the codings to decode. Ignores `aws-chunked`, which some servers store by mistake. */
export const contentCodings = (header: string | null): string[] =>
  (header ?? '')
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => !['', 'identity', 'aws-chunked'].includes(coding))

/**
 * Throws `encoding_not_acceptable` unless `Accept-Encoding` has the object's coding (RFC 9110,
 * §12.5.3). Without that header, Cloudflare would decode the object, without a size limit.
 */
export function requireCodings({ headers }: Response, request: Request): void {
  const codings = contentCodings(headers.get('content-encoding'))
  if (codings.length === 0) return
  const weights = weightsIn(clientAcceptEncoding(request))
  if (codings.every((coding) => (weights.get(coding) ?? weights.get('*') ?? 0) > 0)) return
  throw new ApiError(
    'encoding_not_acceptable',
    `This object is stored encoded. Send Accept-Encoding: ${codings.join(', ')}.`,
  )
}

/** Returns the client's Accept-Encoding, which Cloudflare replaces and keeps in `cf`. */
const clientAcceptEncoding = ({ cf, headers }: Request): string =>
  cf === undefined ? (headers.get('accept-encoding') ?? '') : String(cf.clientAcceptEncoding ?? '')
