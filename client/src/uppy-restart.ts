import { type RetryingUppy, retryFile } from './uppy-retry.ts'

/** The members of Uppy's file that are used here. */
interface PartedFile {
  readonly id: string
  readonly s3Multipart?: object | undefined
}

type Listener = (file: { readonly id: string } | undefined, error: object) => void

/** The members of Uppy that are used here. */
export interface RestartingUppy extends RetryingUppy<unknown> {
  on(event: 'upload-error', listener: Listener): unknown
  off(event: 'upload-error', listener: Listener): unknown
  getFile(fileId: string): PartedFile | undefined
  setFileState(fileId: string, state: object): void
}

/**
 * Statuses of a bucket that doesn't have the upload (404), or doesn't support an operation that a
 * resume needs.
 */
const LOST: readonly unknown[] = [404, 405, 501]

/**
 * Uploads a file again from its start, once, if the bucket has lost the upload in parts that Uppy
 * tries to resume. That happens after an abort from elsewhere, or a week later. Without this, each
 * retry fails like the first one. Returns a function that stops this.
 */
export function restartLostUploads(uppy: RestartingUppy): () => void {
  /** By file id: the timers that start the files again. */
  const restarted = new Map<string, number>()
  const listener: Listener = (failed, error) => {
    const file = failed && uppy.getFile(failed.id)
    if (!file?.s3Multipart || !LOST.includes(Reflect.get(error, 'status'))) return
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
