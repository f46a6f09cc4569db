import { PresignerError } from './presigner-error.ts'
import { put, type Target } from './put.ts'
import { withRetries } from './retry.ts'

/** Where presigned URLs come from. */
export interface Targets {
  /** One that should work now. */
  get(): Promise<Target>
  /** Drops what `get` gave last. */
  drop(): void
}

/**
 * Sends `body`, with retries. Where the bucket refuses a URL, as expired ones are, it gets another
 * one, once an attempt.
 */
export const send = (
  body: Blob,
  targets: Targets,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<string> =>
  withRetries(signal, async () => {
    try {
      return await put(await targets.get(), body, onProgress, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!refusesUrl(error)) throw error
      targets.drop()
      return await put(await targets.get(), body, onProgress, signal)
    }
  })

/** S3 answers 403 to what has expired, and 400 where temporary credentials have. */
const refusesUrl = (error: unknown): boolean =>
  error instanceof PresignerError &&
  error.code === 'bucket_refused' &&
  [400, 401, 403].includes(error.status)
