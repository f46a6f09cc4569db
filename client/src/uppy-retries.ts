import { asError } from './presigner-error.ts'

/** The members of Uppy's file that are used here. */
interface SentFile {
  readonly id: string
  readonly error?: string | null
  readonly s3Multipart?: object | undefined
}

type ErrorListener = (file: { readonly id: string } | undefined, error: Error) => void
type ProgressListener = (
  file: { readonly id: string } | undefined,
  progress: { readonly bytesUploaded: number | false },
) => void

/** What Uppy reports at the end of an upload. */
interface UploadResult {
  readonly successful?: readonly unknown[] | undefined
}

/** The members of Uppy that are used here. */
export interface RetryingUppy<Result extends UploadResult | undefined> {
  getFile(fileId: string): SentFile | undefined
  setFileState(fileId: string, state: object): void
  retryUpload(fileId: string): Promise<Result>
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
  uppy: RetryingUppy<Result>,
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

/**
 * Statuses of a bucket that doesn't have the upload (404), or doesn't support an operation that a
 * resume needs.
 */
const LOST: readonly unknown[] = [404, 405, 501]

/**
 * Uploads a file again from its start, once, if the bucket has lost the upload in parts that Uppy
 * tries to resume, or if it is another user's. That happens after an abort from elsewhere, or a week
 * later. Without this, each retry fails like the first one. Returns a function that stops this.
 */
export function restartLostUploads<Result extends UploadResult | undefined>(
  uppy: RetryingUppy<Result>,
): () => void {
  /** By file id: the timers that start the files again. */
  const restarted = new Map<string, number>()
  const listener: ErrorListener = (failed, error) => {
    const file = failed && uppy.getFile(failed.id)
    const isForeign = Reflect.get(error, 'code') === 'forbidden'
    if (!file?.s3Multipart || !(isForeign || LOST.includes(Reflect.get(error, 'status')))) return
    uppy.setFileState(file.id, { s3Multipart: undefined })
    if (restarted.has(file.id)) return
    // Uppy first has to finish the upload that has failed.
    const timer = setTimeout(() => uppy.getFile(file.id) && retryFile(uppy, file.id))
    restarted.set(file.id, timer)
  }
  uppy.on('upload-error', listener)
  return () => {
    uppy.off('upload-error', listener)
    for (const timer of restarted.values()) clearTimeout(timer)
  }
}

/**
 * Uploads a file again. If this throws, for example in a preprocessor, the file fails with the
 * error. Uppy reports it only to the caller.
 */
async function retryFile<Result extends UploadResult | undefined>(
  uppy: RetryingUppy<Result>,
  fileId: string,
): Promise<Result | undefined> {
  try {
    return await uppy.retryUpload(fileId)
  } catch (error) {
    uppy.emit('upload-error', uppy.getFile(fileId), asError(error))
    return undefined
  }
}
