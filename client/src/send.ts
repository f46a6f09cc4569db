import { bytesOf } from './file-bytes.ts'
import type { Job } from './job.ts'
import { PresignerError } from './presigner-error.ts'
import type { Stall } from './progress.ts'
import { inTurn, put, type Target } from './put.ts'
import { withRetries } from './retry.ts'

/** Where presigned URLs come from. */
export interface Targets {
  /** One that should work now. */
  get(stall: Stall): Promise<Target>
  /** Drops what `get` gave last. */
  drop(): void
}

/**
 * Sends `body`, with retries, as part `part`. Where the bucket refuses a URL, as expired ones are,
 * it gets another one, once an attempt.
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
    signal.throwIfAborted() // it may have waited long
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      await bytesOf(body.slice(0, 1)) // a browser doesn't say when this is why
      if (!refusesUrl(error)) throw error
      targets.drop()
      return await attempt()
    }
  }
  return withRetries(signal, () => inTurn(act), stall)
}

/** S3 answers 403 to what has expired, and 400 where temporary credentials have. */
const refusesUrl = (error: unknown): boolean =>
  error instanceof PresignerError &&
  error.code === 'bucket_refused' &&
  [400, 401, 403].includes(error.status)
