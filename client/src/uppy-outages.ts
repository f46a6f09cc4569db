import { type RetryingUppy, retryFile } from './uppy-retry.ts'

/** The members of Uppy's file that are used here. */
interface SentFile {
  readonly id: string
}

type ErrorListener = (file: SentFile | undefined, error: Error) => void
type ProgressListener = (
  file: SentFile | undefined,
  progress: { readonly bytesUploaded: number | false },
) => void

/** What Uppy reports at the end of an upload. */
interface UploadResult {
  readonly successful?: readonly unknown[] | undefined
}

/** The members of Uppy that are used here. */
export interface WaitingUppy<Result extends UploadResult | undefined> extends RetryingUppy<Result> {
  on(event: 'upload-error', listener: ErrorListener): unknown
  on(event: 'upload-progress', listener: ProgressListener): unknown
  off(event: 'upload-error', listener: ErrorListener): unknown
  off(event: 'upload-progress', listener: ProgressListener): unknown
  emit(event: 'upload-error', file: SentFile | undefined, error: Error): void
  emit(event: 'complete', result: Result): void
}

export interface OutageOptions {
  /**
   * Called with each error that a file waits for to pass, and with `undefined` when it continues or
   * fails.
   */
  readonly onStall?: ((error?: Error) => void) | undefined
  /** How often a file is retried without a byte in between. Default: 15. */
  readonly maxRetries?: number | undefined
}

const PAUSE_MILLISECONDS = 5000
/** Together with Uppy's own retries, about two minutes without a bucket. */
const MAX_RETRIES = 15

/**
 * Retries a file that failed because the bucket or the Worker did not respond, every five seconds,
 * for about two minutes without the bucket. Doesn't retry if the page has never sent a byte: the
 * bucket's CORS rules are then the likely reason. Returns a function that stops this.
 */
export function retryAfterOutages<Result extends UploadResult | undefined>(
  uppy: WaitingUppy<Result>,
  { onStall, maxRetries = MAX_RETRIES }: OutageOptions = {},
): () => void {
  let responded = false
  /** By file id: the retries since the last byte, and the timer of the next one. */
  const waiting = new Map<string, { readonly retries: number; readonly timer: number }>()

  const settle = (fileId: string) => {
    clearTimeout(waiting.get(fileId)?.timer)
    if (waiting.delete(fileId) && waiting.size === 0) onStall?.()
  }
  const onProgress: ProgressListener = (file, { bytesUploaded }) => {
    if (!bytesUploaded) return
    responded = true
    if (file) settle(file.id)
  }
  const onError: ErrorListener = (file, error) => {
    if (!file) return
    const { id } = file
    const { retries = 0, timer } = waiting.get(id) ?? {}
    if (!isOutage(error, responded) || retries >= maxRetries) {
      settle(id)
      return
    }
    clearTimeout(timer)
    waiting.set(id, {
      retries: retries + 1,
      timer: setTimeout(() => retry(id), PAUSE_MILLISECONDS),
    })
    onStall?.(error)
  }
  async function retry(fileId: string): Promise<void> {
    const file = uppy.getFile(fileId)
    if (!file) settle(fileId)
    if (!file?.error) return
    const result = await retryFile(uppy, fileId)
    // Uppy emits this only when a user retries all files.
    if (result?.successful?.length) uppy.emit('complete', result)
  }
  uppy.on('upload-progress', onProgress)
  uppy.on('upload-error', onError)
  return () => {
    uppy.off('upload-progress', onProgress)
    uppy.off('upload-error', onError)
    for (const { timer } of waiting.values()) clearTimeout(timer)
  }
}

/**
 * Tells whether Uppy (`NETWORK`) or the client got no response, or one from a proxy in front of the
 * Worker.
 */
function isOutage(error: Error, responded: boolean): boolean {
  const code: unknown = Reflect.get(error, 'code')
  return (
    code === 'network' ||
    (code === 'bad_answer' && Number(Reflect.get(error, 'status')) >= 500) ||
    (code === 'NETWORK' && responded)
  )
}
