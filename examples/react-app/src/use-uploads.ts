import type { Client, FileRecord, Progress } from 'edge-presigner-client'
import { useRef, useState } from 'react'
import { explain } from './explain'

const AT_ONCE = 3

export interface Upload {
  readonly id: number
  readonly file: File
  readonly status: 'waiting' | 'uploading' | 'done' | 'failed'
  /** 0 to 1 */
  readonly progress: number
  /** Why the upload failed or waits, for the user. Otherwise empty. */
  readonly error: string
}

export interface Uploads {
  readonly uploads: readonly Upload[]
  add(files: Iterable<File>): void
  retry(upload: Upload): void
  /** Cancels the upload, and removes it from the list. */
  dismiss(upload: Upload): void
}

/** Uploads files, three at a time. They continue after the component unmounts. */
export function useUploads(client: Client, onUploaded: (record: FileRecord) => void): Uploads {
  const [uploads, setUploads] = useState<readonly Upload[]>([])
  const queue = useRef<Upload[]>([])
  const running = useRef(0)
  const lastId = useRef(0)
  const controllers = useRef(new Map<number, AbortController>())

  const change = (id: number, changes: Partial<Upload>) =>
    setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...changes } : one)))

  function enqueue(upload: Upload) {
    controllers.current.set(upload.id, new AbortController())
    queue.current.push(upload)
    void runQueue()
  }

  async function runQueue() {
    if (running.current === AT_ONCE) return
    running.current++
    for (let next = queue.current.shift(); next; next = queue.current.shift()) await send(next)
    running.current--
  }

  async function send({ id, file }: Upload) {
    const signal = controllers.current.get(id)?.signal
    if (signal === undefined) return // the user dismissed it while it waited
    const onProgress = ({ loaded, total, stalled }: Progress) =>
      change(id, { progress: loaded / (total || 1), error: stalled ? explain(stalled) : '' })
    try {
      change(id, { status: 'uploading' })
      onUploaded(await client.upload(file, { signal, onProgress }))
      change(id, { status: 'done', progress: 1, error: '' })
    } catch (error) {
      change(id, { status: 'failed', error: explain(error) }) // if it is still on the list
    }
    controllers.current.delete(id)
  }

  return {
    uploads,
    add(files) {
      const added = Array.from(files, (file): Upload => {
        return { id: ++lastId.current, file, status: 'waiting', progress: 0, error: '' }
      })
      setUploads((all) => [...all, ...added])
      added.forEach(enqueue)
    },
    retry(upload) {
      change(upload.id, { status: 'waiting', progress: 0, error: '' })
      enqueue(upload)
    },
    dismiss({ id }) {
      setUploads((all) => all.filter((one) => one.id !== id))
      controllers.current.get(id)?.abort()
      controllers.current.delete(id)
    },
  }
}
