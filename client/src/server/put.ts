import { PresignerError } from '../presigner-error.ts'
import { isFresh, refusalOf, refusesUrl, type SignedPut } from '../signed-put.ts'
import { exchange, readText } from './api.ts'
import { retryAfterOf, withRetries } from './retry.ts'
import { joined, type Piece } from './source.ts'

/** Time for a PUT without its bytes, and the slowest connection that keeps its request. */
const TIMEOUT_MILLISECONDS = 60_000
const SLOWEST_BYTES_PER_MILLISECOND = 50

/**
 * Sends `piece` to the bucket, with retries. Signs again if the URL has expired, and once in each
 * try if the bucket refuses it. Resolves with the ETag. Throws PresignerError: `bucket_refused`,
 * `misconfigured`, `network`, and what `sign` throws.
 */
export function putBytes(
  sign: () => Promise<SignedPut>,
  piece: Piece,
  signal: AbortSignal | undefined,
): Promise<string> {
  let signed: SignedPut | undefined
  /** The last try has ended without a response, so the bucket may have the bytes. */
  let isLost = false
  let unsigned: unknown
  const attempt = async () => {
    if (!isFresh(signed))
      signed = await sign().catch((error: unknown) => {
        unsigned = error
        throw error
      })
    try {
      return await put(signed, piece, signal)
    } catch (error) {
      if (error instanceof PresignerError && error.status === 412 && isLost)
        throw new PresignerError(
          error.code,
          'The bucket returned 412: there is another object. It may be yours: an earlier try had no response.',
          { status: 412, cause: error },
        )
      isLost ||= error instanceof PresignerError && error.code === 'network'
      throw error
    }
  }
  const act = async () => {
    try {
      return await attempt()
    } catch (error) {
      if (!refusesUrl(error)) throw error
      signed = undefined
      return attempt()
    }
  }
  // `sign` has its own retries.
  return withRetries(signal, act, (error) => error.retryable && error !== unsigned)
}

async function put(
  signed: SignedPut,
  piece: Piece,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { url, headers } = signed
  const [response, text] = await exchange(
    (input, init) => fetch(input, init),
    url,
    { method: 'PUT', signal: signal ?? null, ...bodyOf(piece, headers) },
    {
      what: `PUT ${new URL(url).origin}`,
      milliseconds: TIMEOUT_MILLISECONDS + Math.ceil(piece.size / SLOWEST_BYTES_PER_MILLISECOND),
    },
    readText,
  )
  const { ok, status, headers: answered } = response
  if (ok) return answered.get('ETag') ?? ''
  throw refusalOf(signed, status, text, answered.get('Date'), retryAfterOf(response))
}

/** A smaller body is not worth a stream. */
const SMALL_BYTES = 256 * 1024

/**
 * Returns the body and its headers. `fetch` copies the bytes of a whole body up to four times, and
 * those of a stream not at all. But only Node and Workers send the length of a stream, which S3
 * requires.
 */
function bodyOf(
  piece: Piece,
  headers: SignedPut['headers'],
): Pick<RequestInit, 'body' | 'headers'> & { readonly duplex?: 'half' } {
  const Fixed: unknown = Reflect.get(globalThis, 'FixedLengthStream')
  const isNode = /^Node/.test(Object(Reflect.get(globalThis, 'navigator')).userAgent)
  if (piece.size <= SMALL_BYTES || !(isNode || Fixed)) return { body: joined(piece), headers }
  const body = streamOf(piece)
  if (typeof Fixed === 'function')
    return { body: body.pipeThrough(Reflect.construct(Fixed, [piece.size])), headers }
  return { body, headers: { ...headers, 'Content-Length': String(piece.size) }, duplex: 'half' }
}

function streamOf({ blocks }: Piece): ReadableStream<Uint8Array> {
  const slices = (function* () {
    for (const block of blocks)
      for (let at = 0; at < block.length; at += SMALL_BYTES)
        yield block.subarray(at, at + SMALL_BYTES)
  })()
  return new ReadableStream({
    pull(controller) {
      const { done, value } = slices.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
}
