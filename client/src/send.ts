import { bytesOf } from './file-bytes.ts'
import type { Job } from './job.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { inTurn, put, type Target } from './put.ts'
import { withRetries } from './retry.ts'

/** A source of presigned URLs. */
export interface Targets {
  /** Returns a URL that should work now. */
  get(stall: Stall): Promise<Target>
  /** Discards the URL that `get` returned last. */
  drop(): void
}

/**
 * Sends `body` as part `part`, with retries. If the bucket refuses the URL, for example because it
 * has expired, tries once more with a new one in each attempt.
 */
export function send(
  { report, signal, watch }: Job,
  body: Blob,
  part: number,
  targets: Targets,
): Promise<string> {
  const stall = watch()
  const attempt = async () =>
    put(await targets.get(stall), body, (sentBytes) => report(part, sentBytes), signal, stall)
  const act = async () => {
    signal.throwIfAborted() // the wait may have been long
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      await bytesOf(body.slice(0, 1)) // a browser doesn't report a changed file
      if (!refusesUrl(error)) throw error
      targets.drop()
      return await attempt()
    }
  }
  return withRetries(signal, () => inTurn(act), stall)
}

/**
 * Tells whether the bucket refused the URL. S3 returns 403 for an expired URL, and 400 for expired
 * temporary credentials.
 */
const refusesUrl = (error: unknown): boolean =>
  error instanceof PresignerError &&
  error.code === 'bucket_refused' &&
  [400, 401, 403].includes(error.status)
