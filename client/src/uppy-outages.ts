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
export interface WaitingUppy<Result extends UploadResult | undefined> {
  on(event: 'upload-error', listener: ErrorListener): unknown
  on(event: 'upload-progress', listener: ProgressListener): unknown
  off(event: 'upload-error', listener: ErrorListener): unknown
  off(event: 'upload-progress', listener: ProgressListener): unknown
  getFile(fileId: string): { readonly error?: string | null } | undefined
  retryUpload(fileId: string): Promise<Result>
  emit(event: 'complete', result: Result): void
}

export interface OutageOptions {
  /**
   * Called with each error that a file waits for to pass, and with `undefined` when it continues.
   */
  readonly onStall?: ((error?: Error) => void) | undefined
}

const PAUSE_MILLISECONDS = 5000
/** Together with Uppy's own retries, about two minutes. */
const MAX_RETRIES = 15

/**
 * Retries a file that failed because the bucket did not respond, every five seconds for about two
 * minutes. Doesn't retry if the page has never sent a byte, since the bucket's CORS rules are then
 * the likely reason. Returns a function that stops this.
 */
export function retryAfterOutages<Result extends UploadResult | undefined>(
  uppy: WaitingUppy<Result>,
  { onStall }: OutageOptions = {},
): () => void {
  let responded = false
  /** Retries since the last byte, by file id. */
  const waiting = new Map<string, number>()

  const settle = (fileId: string) => {
    if (waiting.delete(fileId) && waiting.size === 0) onStall?.()
  }
  const onProgress: ProgressListener = (file, { bytesUploaded }) => {
    if (!bytesUploaded) return
    responded = true
    if (file) settle(file.id)
  }
  const onError: ErrorListener = (file, error) => {
    if (!file || !responded || Reflect.get(error, 'code') !== 'NETWORK') return
    const { id } = file
    const retries = waiting.get(id) ?? 0
    if (retries === MAX_RETRIES) {
      settle(id)
      return
    }
    waiting.set(id, retries + 1)
    onStall?.(error)
    setTimeout(() => retry(id), PAUSE_MILLISECONDS)
  }
  async function retry(fileId: string): Promise<void> {
    const file = uppy.getFile(fileId)
    if (!file) settle(fileId)
    if (!file?.error) return
    const result = await uppy.retryUpload(fileId)
    // Uppy emits this only when a user retries all files.
    if (result?.successful?.length) uppy.emit('complete', result)
  }
  uppy.on('upload-progress', onProgress)
  uppy.on('upload-error', onError)
  return () => {
    uppy.off('upload-progress', onProgress)
    uppy.off('upload-error', onError)
  }
}
