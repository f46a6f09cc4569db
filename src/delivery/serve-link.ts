import type { LinkPolicy } from '../access/link-signature.ts'
import type { Bucket } from '../bucket/bucket.ts'
import { coversAll, singleRange } from './byte-range.ts'
import { requireCodings } from './content-coding.ts'
import { toClientResponse } from './object-response.ts'
import type { ObjectSource } from './object-source.ts'
import { isConditional, rangeIsCurrent } from './preconditions.ts'

/**
 * Returns the object of a verified link, for the method, range and conditions of `request`.
 * `objects` never receives the request itself. `sharesOrigin` tells whether an app uses the same
 * origin. Throws what `objects.open` throws.
 */
export async function serveLink(
  request: Request,
  policy: LinkPolicy,
  bucket: Bucket,
  objects: ObjectSource,
  now: Date,
  sharesOrigin: boolean,
): Promise<Response> {
  const method = request.method === 'HEAD' ? 'HEAD' : 'GET'
  const ask = async (range: string | null): Promise<Response> => {
    const answer = await objects.open(method, bucket, policy.key, range)
    return range === null ? answer : asPart(answer, range)
  }

  const range = method === 'GET' ? singleRange(request.headers.get('range')) : null
  let answer = await ask(range)
  if (range !== null && !rangeHolds(answer, request.headers)) {
    await answer.body?.cancel()
    answer = await ask(null)
  }
  try {
    requireCodings(answer, request)
  } catch (error) {
    await answer.body?.cancel()
    throw error
  }
  return toClientResponse(answer, request.headers, policy, bucket, now, sharesOrigin)
}

/**
 * Returns a complete representation as a partial response if `range` includes all of it. Returns
 * any other response unchanged.
 */
function asPart(answer: Response, range: string): Response {
  const size = Number(answer.headers.get('content-length') ?? 0)
  if (answer.status !== 200 || size === 0 || !coversAll(range, size)) return answer
  const headers = new Headers(answer.headers)
  headers.set('Content-Range', `bytes 0-${size - 1}/${size}`)
  return new Response(answer.body, { status: 206, headers })
}

/**
 * Tells whether the response to a range is usable. If not, the complete representation is used,
 * since every condition can be evaluated on it. A server may always ignore `Range` (RFC 9110,
 * §14.2).
 */
function rangeHolds(part: Response, request: Headers): boolean {
  if (part.status === 416) return !isConditional(request)
  return part.status !== 206 || rangeIsCurrent(request.get('if-range'), part.headers)
}
