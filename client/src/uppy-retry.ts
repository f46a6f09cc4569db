/** The members of Uppy that are used here. */
export interface RetryingUppy<Result> {
  getFile(fileId: string): { readonly id: string; readonly error?: string | null } | undefined
  retryUpload(fileId: string): Promise<Result>
  emit(event: 'upload-error', file: { readonly id: string } | undefined, error: Error): void
}

/**
 * Uploads a file again. If this throws, for example in a preprocessor, the file fails with the
 * error. Uppy reports it only to the caller.
 */
export async function retryFile<Result>(
  uppy: RetryingUppy<Result>,
  fileId: string,
): Promise<Result | undefined> {
  try {
    return await uppy.retryUpload(fileId)
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error))
    uppy.emit('upload-error', uppy.getFile(fileId), failure)
    return undefined
  }
}
