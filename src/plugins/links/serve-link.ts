import type { LinkPolicy } from '../../access/link-signature.ts'
import type { ConfiguredBucket } from '../../bucket/bucket.ts'
import { pipeOf } from '../../core/relay.ts'
import type { ObjectSource } from '../../storage/object-source.ts'
import { rangeOf, singleRange } from './byte-range.ts'
import { requireCodings } from './content-coding.ts'
import { keepsCopiesOf } from './direct-objects.ts'
import { parseMediaType } from './media-type.ts'
import { toClientResponse } from './object-response.ts'
import { isImageError, notResized } from './objects-protocol.ts'
import type { ImageSteps } from './options.ts'
import { isConditional, rangeIsCurrent } from './preconditions.ts'

/** Where a link is served. */
export interface LinkPlace {
  readonly bucket: ConfiguredBucket
  readonly objects: ObjectSource
  readonly images: ImageSteps | null
  /** Whether an app uses the same origin. */
  readonly sharesOrigin: boolean
  readonly requestId: string
}

/** Returns a verified link's object or `variant` for `request`, which `objects` never receives. */
export async function serveLink(
  request: Request,
  policy: LinkPolicy,
  place: LinkPlace,
  now: Date,
  variant = policy.variant,
): Promise<Response> {
  const { bucket, objects, images, requestId } = place
  const method = request.method === 'HEAD' ? 'HEAD' : 'GET'
  const accept = request.headers.get('accept')
  const spec = variant && (images?.specOf(variant, bucket.imageQuality, accept) ?? null)
  if (variant !== null && !(spec && keepsCopiesOf(bucket, objects))) throw notResized()
  const ask = async (range: string | null): Promise<Response> => {
    const { key } = policy
    const asker = { now, requestId }
    const opened = await objects.open({ method, bucket, key, range, variant: spec, asker })
    const answer = policy.variant === null ? opened : withoutDate(opened)
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
  return toClientResponse(answer, request.headers, policy, place, now)
}

/** How long a browser may keep an original instead of a resized image. */
const FALLBACK_SECONDS = 60

/** Returns the original if allowed. Throws `failure`, also for HEIC: few browsers can show it. */
export async function serveFallback(
  request: Request,
  policy: LinkPolicy,
  place: LinkPlace,
  failure: unknown,
  now: Date,
): Promise<Response> {
  if (!policy.variant?.fallback || !isImageError(failure)) throw failure
  const response = await serveLink(request, policy, place, now, null)
  const type = parseMediaType(response.headers.get('content-type') ?? '')?.contentType ?? ''
  if (/^image\/hei[cf]/.test(type) || /\.hei[cf]$/i.test(policy.key)) {
    await response.body?.cancel()
    throw failure
  }
  const [, own] = /max-age=(\d+)/.exec(response.headers.get('Cache-Control') ?? '') ?? []
  if (own !== undefined)
    response.headers.set(
      'Cache-Control',
      `private, max-age=${Math.min(Number(own), FALLBACK_SECONDS)}`,
    )
  return response
}

/** Removes the date, which all variants and the original share: only the ETag tells them apart. */
function withoutDate({ body, status, headers: given }: Response): Response {
  const headers = new Headers(given)
  headers.delete('last-modified')
  return new Response(body, { status, headers, encodeBody: 'manual' })
}

/** Returns the part that `range` names of a complete representation, which a cache may leave to us. */
function asPart(answer: Response, range: string): Response {
  const { body } = answer
  const size = Number(answer.headers.get('content-length') ?? 0)
  if (answer.status !== 200 || size === 0 || body === null) return answer
  const headers = new Headers(answer.headers)
  const { first, last } = rangeOf(range, size)
  if (first > last) {
    void body.cancel()
    headers.set('Content-Range', `bytes */${size}`)
    return new Response(null, { status: 416, headers })
  }
  headers.set('Content-Length', String(last - first + 1))
  headers.set('Content-Range', `bytes ${first}-${last}/${size}`)
  const part = first === 0 && last === size - 1 ? body : cut(body, first, last)
  return new Response(part, { status: 206, headers, encodeBody: 'manual' })
}

/** Returns the bytes of `body` from `first` to `last`, and reads no more. */
function cut(body: ReadableStream<Uint8Array>, first: number, last: number): ReadableStream {
  const { readable, writable } = pipeOf(String(last - first + 1))
  const writer = writable.getWriter()
  const reader = body.getReader()
  const work = async () => {
    for (let at = 0; at <= last; ) {
      const { done, value } = await reader.read()
      if (done) throw new Error('The body ended early.')
      const part = value.subarray(Math.max(0, first - at), last + 1 - at)
      at += value.byteLength
      if (part.byteLength > 0) await writer.write(part)
    }
    await writer.close()
    await reader.cancel()
  }
  work().catch((error: unknown) => {
    for (const end of [reader.cancel(error), writer.abort(error)]) end.catch(() => undefined)
  })
  return readable
}

/**
 * Tells whether the response to a range is usable. If not, the complete one is, since every
 * condition can be evaluated on it. A server may always ignore `Range` (RFC 9110, §14.2).
 */
function rangeHolds(part: Response, request: Headers): boolean {
  if (part.status === 416) return !isConditional(request)
  return part.status !== 206 || rangeIsCurrent(request.get('if-range'), part.headers)
}
