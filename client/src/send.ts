import { bytesOf } from './file-bytes.ts'
import { type Job, lineOf } from './job.ts'
import type { Stall } from './progress.ts'
import { inSlot, put } from './put.ts'
import { withRetries } from './retry.ts'
import { refusesUrl, type SignedPut } from './signed-put.ts'

/** A source of signed URLs. */
export interface Targets {
  /** Returns a URL that should work now. */
  get(stall: Stall): Promise<SignedPut>
  /** Discards the URL that `get` returned last. */
  drop(): void
}

/**
 * Sends `body` as part `part`, with retries. If the bucket refuses the URL, for example because it
 * has expired, tries once more with a new one in each attempt.
 */
export function send(
  { api, report, signal, watch }: Job,
  body: Blob,
  part: number,
  targets: Targets,
): Promise<string> {
  const line = lineOf(api)
  const attempt = async (stall: Stall) => {
    signal.throwIfAborted() // the wait may have been long
    const target = await targets.get(stall)
    signal.throwIfAborted() // signing several files together ignores the signal of one
    return put(target, body, (sentBytes) => report(part, sentBytes), signal, stall)
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
      targets.drop()
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
