import {
  type Client,
  explain,
  type FileRecord,
  type Progress,
  type UploadHandle,
} from 'edge-presigner-client'

/** One upload, which continues after its component is gone. */
export class Upload {
  status = $state<'uploading' | 'paused' | 'done' | 'failed'>('uploading')
  /** 0 to 1 */
  progress = $state(0)
  /** Why the upload failed or waits, for the user. Otherwise empty. */
  message = $state('')
  readonly file: File
  readonly #client: Client
  readonly #onUploaded: (record: FileRecord) => void
  #handle: UploadHandle<FileRecord>

  constructor(client: Client, file: File, onUploaded: (record: FileRecord) => void) {
    this.file = file
    this.#client = client
    this.#onUploaded = onUploaded
    this.#handle = this.#start()
  }

  #start() {
    const onProgress = ({ loaded, total, stalled }: Progress) => {
      this.progress = loaded / (total || 1)
      this.message = stalled ? explain(stalled) : ''
    }
    const handle = this.#client.start(this.file, { onProgress })
    handle.done.then(
      (record) => {
        this.progress = 1
        this.status = 'done'
        this.#onUploaded(record)
      },
      (error) => {
        this.status = 'failed'
        this.message = explain(error)
      },
    )
    return handle
  }

  /** Keeps what the bucket has of a large file. */
  pause() {
    this.status = 'paused'
    this.#handle.pause()
  }

  /** Continues a paused upload, or tries a failed one again. */
  resume() {
    if (this.status === 'failed') this.#handle = this.#start()
    this.status = 'uploading'
    this.message = ''
    this.#handle.resume()
  }

  cancel() {
    this.#handle.cancel()
  }
}
