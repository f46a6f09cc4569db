/** What is used of a file of Uppy's that goes in parts. */
interface PartedFile {
  readonly id: string
  readonly s3Multipart?: object | undefined
}

type Listener = (file: { readonly id: string } | undefined, error: object) => void

/** What is used of Uppy here. */
export interface RestartingUppy {
  on(event: 'upload-error', listener: Listener): unknown
  off(event: 'upload-error', listener: Listener): unknown
  getFile(fileId: string): PartedFile | undefined
  setFileState(fileId: string, state: object): void
  retryUpload(fileId: string): Promise<unknown>
}

/** Statuses of a bucket that doesn't know the upload (404), or an operation that a resume needs. */
const LOST: readonly unknown[] = [404, 405, 501]

/**
 * Uploads a file from its beginning, once, when the bucket has lost the upload in parts that Uppy
 * would resume: after an abort from elsewhere, or a week later. Without this, each retry fails as
 * the first one did. Returns what ends this.
 */
export function restartLostUploads(uppy: RestartingUppy): () => void {
  const restarted = new Set<string>()
  const listener: Listener = (failed, error) => {
    const file = failed && uppy.getFile(failed.id)
    if (!file?.s3Multipart || !LOST.includes(Reflect.get(error, 'status'))) return
    uppy.setFileState(file.id, { s3Multipart: undefined })
    if (restarted.has(file.id)) return
    restarted.add(file.id)
    // Uppy is about to end the upload that has failed.
    setTimeout(() => uppy.getFile(file.id) && uppy.retryUpload(file.id))
  }
  uppy.on('upload-error', listener)
  return () => uppy.off('upload-error', listener)
}
