import { PresignerError } from '../presigner-error.ts'
import { isFresh, refusalOf, refusesUrl, type SignedPut } from '../signed-put.ts'
import { exchange } from './api.ts'
import { retryAfterOf, withRetries } from './retry.ts'
import type { Bytes } from './source.ts'

/** Time for a PUT without its bytes, and the slowest connection that keeps its request. */
const TIMEOUT_MILLISECONDS = 60_000
const SLOWEST_BYTES_PER_MILLISECOND = 50

/**
 * Sends `bytes` to the bucket, with retries. Signs again if the URL has expired, and once in each
 * try if the bucket refuses it. Resolves with the ETag. Throws PresignerError: `bucket_refused`,
 * `clock_skew`, `network`, and what `sign` throws.
 */
export function putBytes(
  sign: () => Promise<SignedPut>,
  bytes: Bytes,
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
      return await put(signed, bytes, signal)
    } catch (error) {
      if (error instanceof PresignerError && error.status === 412 && isLost)
        throw new PresignerError(
          'bucket_refused',
          'The bucket returned 412: there is already an object. It may be yours: an earlier try had no response.',
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
  body: Bytes,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { url, headers } = signed
  const { origin } = new URL(url)
  const [response, text] = await exchange(
    (input, init) => fetch(input, init),
    url,
    { method: 'PUT', headers, body, redirect: 'manual' },
    TIMEOUT_MILLISECONDS + Math.ceil(body.length / SLOWEST_BYTES_PER_MILLISECOND),
    signal,
    `PUT ${origin}`,
    '',
  )
  const { ok, status, headers: answered } = response
  if (ok) return answered.get('ETag') ?? ''
  throw refusalOf(signed, status, text, answered.get('Date'), retryAfterOf(response))
}
