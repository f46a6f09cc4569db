import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { codeWithoutResponse, hasRead, noteResponse } from './responded.ts'
import { refusalOf, type SignedPut } from './signed-put.ts'
import { createTurns } from './turns.ts'

/**
 * How many uploads of the page run at the same time. A browser has six connections for each host.
 */
const PARALLEL_PUTS = 4
/** After this long without progress, a request counts as stalled. */
const PATIENCE_MILLISECONDS = 8000
/**
 * The longest time without progress of any request, since a lost connection is not always reported.
 */
const SILENCE_MILLISECONDS = 120_000
/**
 * The longest time without progress of one request, while others continue. On a slow connection,
 * they take turns.
 */
const LONGEST_SILENCE_MILLISECONDS = 600_000

/** When this page sent its last byte. */
let lastByteAt = 0

/** Runs `act` when a slot is free among all uploads of the page. */
export const inSlot = createTurns(PARALLEL_PUTS)

/**
 * Sends `body` to the bucket. Uses XMLHttpRequest, since only that reports the progress of an
 * upload. Resolves with the ETag, which is empty if CORS rules hide it. Calls `stall` after a long
 * time without progress, and when it continues. Throws PresignerError: `bucket_refused`,
 * `misconfigured`, `network`, `unreachable`.
 */
export const put = (
  signed: SignedPut,
  body: Blob,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
  stall: Stall,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const { url, headers } = signed
    const xhr = new XMLHttpRequest()
    const sentAt = Date.now()
    let ownByteAt = 0
    const stop = () => xhr.abort()
    const ticker = setInterval(() => {
      const now = Date.now()
      const silence = now - Math.max(lastByteAt, sentAt)
      if (silence > PATIENCE_MILLISECONDS) stall(noResponse(url))
      else if (lastByteAt > sentAt) stall()
      // Before its first byte, a request may wait for a connection.
      if (
        ownByteAt &&
        (silence > SILENCE_MILLISECONDS || now - ownByteAt > LONGEST_SILENCE_MILLISECONDS)
      )
        stop()
    }, 1000)
    xhr.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.onprogress = ({ loaded }) => {
      noteResponse(url, false) // to the preflight
      ownByteAt = lastByteAt = Date.now()
      stall()
      onProgress(loaded)
    }
    xhr.onloadend = () => {
      clearInterval(ticker)
      signal.removeEventListener('abort', stop)
      const { status } = xhr
      if (status) noteResponse(url)
      if (status >= 200 && status < 300) {
        resolve(xhr.getResponseHeader('ETag') ?? '')
      } else if (status) {
        // `getResponseHeader` would print an error if CORS rules hide the date.
        const date = /^date: (.+)/m.exec(xhr.getAllResponseHeaders())?.[1]
        reject(refusalOf(signed, status, xhr.responseText, date))
      } else {
        reject(noResponse(url))
      }
    }
    signal.addEventListener('abort', stop)
    xhr.send(body)
  })

function noResponse(url: string): PresignerError {
  const code = codeWithoutResponse(url)
  const hint =
    code === 'unreachable'
      ? `. Check that its CORS rules allow ${origin}.`
      : hasRead(url)
        ? ''
        : // Some servers leave CORS headers out when they refuse a signature.
          ' that this page can read. Check its access key and CORS rules.'
  return new PresignerError(code, `No response from the bucket${hint}`)
}
