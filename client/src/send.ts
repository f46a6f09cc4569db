import { bytesOf } from './file-bytes.ts'
import { type Job, lineOf } from './job.ts'
import type { Stall } from './progress.ts'
import { inSlot, put } from './put.ts'
import { withRetries } from './retry.ts'
import { isFresh, refusesUrl, type SignedPut } from './signed-put.ts'

/**
 * Sends `body` as part `part`, with retries. If the bucket refuses the URL, for example because it
 * has expired, tries once more with a new one in each attempt.
 */
export function send(
  { api, report, signal, look, watch }: Job,
  body: Blob,
  part: number,
  sign: (stall: Stall) => Promise<SignedPut>,
): Promise<string> {
  const line = lineOf(api)
  let signed: SignedPut | undefined
  const attempt = async (stall: Stall) => {
    signal.throwIfAborted() // the wait may have been long
    if (!isFresh(signed)) signed = await sign(stall)
    look?.()
    signal.throwIfAborted() // signing several files together ignores the signal of one
    return put(signed, body, (sentBytes) => report(part, sentBytes), signal, stall)
  }
  const act = async (stall: Stall) => {
    try {
      return await attempt(stall)
    } catch (error) {
      signal.throwIfAborted()
      // A browser doesn't report a changed file. In Chromium, one that had disappeared before its
      // size was read looks empty, and so does a slice of it.
      await bytesOf(body.size ? body.slice(0, 1) : body)
      if (!refusesUrl(error)) throw error
      signed = undefined
      return await attempt(stall)
    }
  }
  const actInSlot = (stall: Stall, leads: boolean) =>
    inSlot(body.size, signal, async () => {
      if (line.error && !leads) throw line.error
      return act(stall)
    })
  return withRetries(signal, actInSlot, watch(), line)
}
