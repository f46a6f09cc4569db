import type { Body, Meta, Uppy, UppyFile } from '@uppy/core'
import { type Client, type FileRecord, PresignerError } from '../../client/src/index.ts'
import { createUploadQueue, type Upload } from '../../client/src/upload-queue.ts'

/** Larger files go in parts, which can be paused and resumed, also after a reload. */
const MULTIPART_ABOVE_BYTES = 16 * 1024 ** 2
/** The pause before a file is tried again, after the client has given up. */
const PAUSE_MILLISECONDS = 5000

export type PageFile = UppyFile<Meta, Body>

export interface ClientUploaderOptions {
  readonly client: Client
  /** Whether files may go in parts. */
  readonly inParts: () => boolean
  /** Called for each file that is in the bucket and in the index. */
  readonly onRecord: (record: FileRecord, file: PageFile) => void
  /** Called with the error that uploads wait out, and with `undefined` when they continue. */
  readonly onStall: (error?: PresignerError) => void
}

/** The id of no upload. */
const NONE = -1

/** A file that Uppy waits for. */
interface Wait {
  readonly fileId: string
  /** The id in the queue of the client. */
  readonly uploadId: number
  /** Ends the wait, whether the file is uploaded, failed or removed. */
  end: () => void
  /** The bytes that Uppy knows of. */
  loaded: number
  /** The next try, after an outage of `error`. */
  outage?:
    | { readonly error: PresignerError; readonly timer: ReturnType<typeof setTimeout> }
    | undefined
}

/**
 * Uploads the files of Uppy by the client, which signs, sends, retries and records them. The files of a
 * batch start together, so that one request signs them all. The client sends four at a time.
 */
export function uploadByClient(
  uppy: Uppy<Meta, Body>,
  { client, inParts, onRecord, onStall }: ClientUploaderOptions,
): void {
  const byFile = new Map<string, Wait>()
  const byUpload = new Map<number, Wait>()
  let isStalled = false

  /** Returns the file of an upload, unless it was removed. */
  function waiting({ id }: Upload): { readonly file: PageFile; readonly wait: Wait } | undefined {
    const wait = byUpload.get(id)
    const file = wait && uppy.getFile(wait.fileId)
    return file && { file, wait }
  }

  function forget({ fileId, uploadId, outage }: Wait): void {
    clearTimeout(outage?.timer)
    byFile.delete(fileId)
    byUpload.delete(uploadId)
    queue.dismiss(uploadId)
  }

  const queue = createUploadQueue(client, {
    onUploaded(record, upload) {
      const found = waiting(upload)
      if (found === undefined) return
      const { file, wait } = found
      forget(wait)
      uppy.emit('upload-success', file, { status: 200, body: { key: record.key } })
      onRecord(record, file)
      wait.end()
    },
    onError(error, upload) {
      const found = waiting(upload)
      if (found === undefined) return
      const { file, wait } = found
      if (isOutage(error)) {
        const again = () => resume(file.id)
        wait.outage = { error, timer: setTimeout(again, PAUSE_MILLISECONDS) }
      } else {
        uppy.emit('upload-error', file, error)
        wait.end()
      }
    },
  })

  queue.subscribe(() => {
    const { uploads } = queue.getSnapshot()
    for (const upload of uploads) {
      const found = waiting(upload)
      if (found === undefined || found.wait.loaded === upload.loaded) continue
      const { file, wait } = found
      wait.loaded = upload.loaded
      uppy.emit('upload-progress', file, {
        uploadStarted: file.progress.uploadStarted ?? Date.now(),
        bytesUploaded: upload.loaded,
        bytesTotal: upload.total,
      })
    }
    const stalled = uploads.find((upload) => upload.stalled)?.stalled
    const outage = [...byFile.values()].find((wait) => wait.outage)?.outage
    const error = stalled ?? outage?.error
    if (error || isStalled) onStall(error)
    isStalled = error !== undefined
  })

  function resume(fileId: string): void {
    const wait = byFile.get(fileId)
    if (wait === undefined || uppy.getFile(fileId)?.isPaused) return
    clearTimeout(wait.outage?.timer)
    wait.outage = undefined
    queue.resume(wait.uploadId)
    queue.retry(wait.uploadId)
  }

  /** Starts a file, or continues one that has failed. Calls `end` when it is uploaded, failed or removed. */
  function start({ id, data, type, meta }: PageFile, end: () => void): void {
    const known = byFile.get(id)
    if (known !== undefined) {
      known.end = end
      resume(id)
    } else if (data instanceof Blob) {
      const multipart = inParts() && data.size > MULTIPART_ABOVE_BYTES
      const [added] = queue.add([withType(data, type)], { fileName: meta.name, multipart })
      if (added === undefined) return
      const wait = { fileId: id, uploadId: added.id, end, loaded: 0 }
      byFile.set(id, wait)
      byUpload.set(added.id, wait)
    } else end()
  }

  uppy.addUploader(async (ids) => {
    const files = uppy
      .getFilesByIds(ids)
      .filter(({ error, progress }) => !error && !progress.uploadComplete)
    // The progress of a restored file stays, and the client finds its parts.
    uppy.emit(
      'upload-start',
      files.filter(({ isRestored, progress }) => !isRestored || !progress.uploadStarted),
    )
    await Promise.all(files.map((file) => new Promise<void>((end) => start(file, end))))
  })
  uppy.on('upload-pause', (file, isPaused) => {
    if (file === undefined) return
    if (isPaused) queue.pause(byFile.get(file.id)?.uploadId ?? NONE)
    else resume(file.id)
  })
  uppy.on('pause-all', () => queue.pause())
  uppy.on('resume-all', () => [...byFile.keys()].forEach(resume))
  uppy.on('file-removed', (file) => {
    const { isRestored, progress } = file
    // Deletes what the bucket has of a file that the user doesn't continue after a reload.
    if (isRestored && progress.uploadStarted && !progress.uploadComplete) start(file, () => {})
    const wait = byFile.get(file.id)
    if (wait === undefined) return
    forget(wait)
    wait.end()
  })
  const { capabilities } = uppy.getState()
  uppy.setState({ capabilities: { ...capabilities, resumableUploads: true } })
}

/** Returns `data` with the type that Uppy knows by the name. A browser knows few types. */
function withType(data: Blob, type: string): Blob {
  if (data.type !== '' || !(data instanceof File)) return data
  return new File([data], data.name, { type, lastModified: data.lastModified })
}

/** Tells whether the bucket or the Worker did not answer, although it has before. */
const isOutage = (error: Error): error is PresignerError =>
  error instanceof PresignerError &&
  (error.code === 'network' || (error.code === 'bad_answer' && error.status >= 500))
