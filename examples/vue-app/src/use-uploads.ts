import {
  type Client,
  explain,
  type FileRecord,
  type Progress,
  type UploadHandle,
} from 'edge-presigner-client'
import { shallowReactive } from 'vue'

export interface Upload {
  readonly id: number
  readonly file: File
  status: 'uploading' | 'paused' | 'done' | 'failed'
  /** 0 to 1 */
  progress: number
  /** Why the upload failed or waits, for the user. Otherwise empty. */
  message: string
  handle: UploadHandle<FileRecord>
}

let lastId = 0

/** Uploads files. They continue after the component unmounts. */
export function useUploads(client: Client, onUploaded: (record: FileRecord) => void) {
  const uploads = shallowReactive<Upload[]>([])

  function start(file: File): Upload {
    const onProgress = ({ loaded, total, stalled }: Progress) => {
      upload.progress = loaded / (total || 1)
      upload.message = stalled ? explain(stalled) : ''
    }
    const handle = client.start(file, { onProgress })
    const started = { status: 'uploading', progress: 0, message: '' } as const
    const upload = shallowReactive<Upload>({ id: ++lastId, file, ...started, handle })
    handle.done.then(
      (record) => {
        Object.assign(upload, { status: 'done', progress: 1 })
        onUploaded(record)
      },
      (error) => Object.assign(upload, { status: 'failed', message: explain(error) }),
    )
    return upload
  }

  return {
    uploads,
    add(files: Iterable<File>) {
      for (const file of files) uploads.push(start(file))
    },
    /** Keeps what the bucket has of a large file. */
    pause(upload: Upload) {
      upload.status = 'paused'
      upload.handle.pause()
    },
    resume(upload: Upload) {
      upload.status = 'uploading'
      upload.handle.resume()
    },
    retry(upload: Upload) {
      uploads.splice(uploads.indexOf(upload), 1, start(upload.file))
    },
    /** Cancels the upload, and removes it from the list. An uploaded file stays in the bucket. */
    remove(upload: Upload) {
      uploads.splice(uploads.indexOf(upload), 1)
      upload.handle.cancel()
    },
  }
}
