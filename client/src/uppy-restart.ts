/** The members of Uppy's file that are used here. */
interface PartedFile {
  readonly id: string
  readonly s3Multipart?: object | undefined
}

type Listener = (file: { readonly id: string } | undefined, error: object) => void

/** The members of Uppy that are used here. */
export interface RestartingUppy {
  on(event: 'upload-error', listener: Listener): unknown
  off(event: 'upload-error', listener: Listener): unknown
  getFile(fileId: string): PartedFile | undefined
  setFileState(fileId: string, state: object): void
  retryUpload(fileId: string): Promise<unknown>
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
  const restarted = new Set<string>()
  const listener: Listener = (failed, error) => {
    const file = failed && uppy.getFile(failed.id)
    if (!file?.s3Multipart || !LOST.includes(Reflect.get(error, 'status'))) return
    uppy.setFileState(file.id, { s3Multipart: undefined })
    if (restarted.has(file.id)) return
    restarted.add(file.id)
    // Uppy first has to finish the upload that has failed.
    setTimeout(() => uppy.getFile(file.id) && uppy.retryUpload(file.id))
  }
  uppy.on('upload-error', listener)
  return () => uppy.off('upload-error', listener)
}
