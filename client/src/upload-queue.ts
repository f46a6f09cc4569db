import type { Client } from './client.ts'
import { announce } from './file-changes.ts'
import type { PresignerError } from './presigner-error.ts'
import type { Progress } from './progress.ts'
import type { FileRecord } from './responses.ts'
import { asError, createStore, type Store } from './store.ts'
import type { UploadOptions } from './upload.ts'

/** How many files of a queue are uploaded at the same time, unless `concurrency` is set. */
const CONCURRENCY = 3

/** The part of a client that a queue needs. */
export type Uploader = Pick<Client, 'upload'>

/** Options of `client.upload()` that can be set for each file. */
export type FileOptions = Omit<UploadOptions, 'signal' | 'onProgress'>

export interface UploadQueueOptions {
  /** How many files are uploaded at the same time. Default: 3. */
  readonly concurrency?: number | undefined
  /** Options of `client.upload()` for all files, or a function that returns them for a file. */
  readonly fileOptions?: FileOptions | ((file: File | Blob) => FileOptions) | undefined
  /** Called with the record of each uploaded file, even after the component has unmounted. */
  readonly onUploaded?: ((record: FileRecord, upload: Upload) => void) | undefined
  /** Called when an upload fails, even after the component has unmounted. */
  readonly onError?: ((error: Error, upload: Upload) => void) | undefined
}

export type UploadStatus = 'waiting' | 'uploading' | 'paused' | 'done' | 'failed' | 'canceled'

/** One file of the list. A new object after each change. */
export interface Upload {
  /** Unique on this page. Use it as `key`. */
  readonly id: number
  readonly file: File | Blob
  readonly name: string
  readonly status: UploadStatus
  /** Bytes that are sent. */
  readonly loaded: number
  /** Bytes of the file. */
  readonly total: number
  /** The sent part of the file, from 0 to 1. */
  readonly progress: number
  /** Why the upload waits at the moment: no network, or a server that does not respond. */
  readonly stalled: PresignerError | undefined
  /** Why the upload failed. */
  readonly error: Error | undefined
  /** What the index knows about the file, when it is uploaded. */
  readonly record: FileRecord | undefined
}

/** All uploads of a list. Canceled ones don't count for the progress and the status. */
export interface UploadsState {
  /** In the order in which they were added. */
  readonly uploads: readonly Upload[]
  readonly loaded: number
  readonly total: number
  /** From 0 to 1. */
  readonly progress: number
  /**
   * `idle` without uploads, `uploading` while any is active or waiting. Otherwise `paused` or
   * `failed` if any is, or `done`.
   */
  readonly status: 'idle' | 'uploading' | 'paused' | 'failed' | 'done'
}

/** Functions that stay the same for the lifetime of the component. */
export interface UploadActions {
  /** Adds files to the list and uploads them. `options` take precedence over `fileOptions`. */
  add(
    files: Iterable<File | Blob> | ArrayLike<File | Blob> | null | undefined,
    options?: FileOptions,
  ): readonly Upload[]
  /**
   * Pauses an upload, or all. A File in parts continues later with the parts that are missing.
   * Other uploads start again.
   */
  pause(id?: number): void
  /** Continues a paused upload, or all. */
  resume(id?: number): void
  /** Cancels an upload, or all, and deletes what the bucket has of it. It stays on the list. */
  cancel(id?: number): void
  /** Tries a failed or canceled upload again. Without an id: all failed ones. */
  retry(id?: number): void
  /**
   * Removes an upload from the list, and cancels it if it is not over. Without an id: removes all
   * that are over. An uploaded file stays in the bucket.
   */
  remove(id?: number): void
}

export interface UploadQueue extends Store<UploadsState>, UploadActions {
  /** Sets the client and the options of all uploads that start from now on. */
  configure(client: Uploader, options: UploadQueueOptions): void
}

/** Starts the upload of one file, with the client and the options from when it was added. */
type Send = (more: Pick<UploadOptions, 'signal' | 'onProgress'>) => Promise<FileRecord>

interface Item {
  upload: Upload
  readonly client: Uploader
  readonly send: Send
  /** Of the latest try. */
  controller: AbortController | undefined
}

let lastId = 0

/** Returns an empty list of uploads. */
export function createUploadQueue(client: Uploader, options: UploadQueueOptions): UploadQueue {
  const items = new Map<number, Item>()
  let active = 0
  const store = createStore(() => stateOf(Array.from(items.values(), ({ upload }) => upload)))

  /** Starts waiting uploads, in the order of the list. */
  function run(): void {
    for (const item of items.values()) {
      if (active >= Math.max(1, options.concurrency ?? CONCURRENCY)) return
      if (item.upload.status === 'waiting') void start(item)
    }
  }

  async function start(item: Item): Promise<void> {
    const controller = new AbortController()
    const { signal } = controller
    const { total } = item.upload
    item.controller = controller
    active++
    change(item, { status: 'uploading' })
    const onProgress = ({ loaded, stalled }: Progress) => {
      if (signal.aborted) return
      change(item, { loaded, progress: loaded / (total || 1), stalled })
      store.changed('soon')
    }
    const outcome = await item.send({ signal, onProgress }).catch(asError)
    active--
    if (outcome instanceof Error) {
      if (!signal.aborted) {
        change(item, { status: 'failed', stalled: undefined, error: outcome })
        tell(() => options.onError?.(outcome, item.upload))
      }
    } else {
      announce(item.client, outcome.key, outcome)
      const done = { status: 'done', loaded: total, progress: 1, stalled: undefined } as const
      change(item, { ...done, record: outcome })
      tell(() => options.onUploaded?.(outcome, item.upload))
    }
    run()
    store.changed('soon')
  }

  /** Calls `act` for one upload, or for all, if its status is one of `statuses`. */
  function forEach(
    id: number | undefined,
    statuses: readonly UploadStatus[],
    act: (item: Item) => void,
  ): void {
    const found = [...items.values()].filter(
      ({ upload }) => (id ?? upload.id) === upload.id && statuses.includes(upload.status),
    )
    if (found.length === 0) return
    found.forEach(act)
    run()
    store.changed()
  }

  return {
    ...store,
    configure(newClient, newOptions) {
      client = newClient
      options = newOptions
    },
    add(files, more) {
      const { fileOptions } = options
      const by = client
      const added = Array.from(files ?? [], (file): Item => {
        const forAll = typeof fileOptions === 'function' ? fileOptions(file) : fileOptions
        const own = { ...forAll, ...more }
        const name = own.fileName ?? ('name' in file ? file.name : 'file')
        const upload = { id: ++lastId, file, name, total: file.size, ...UNSTARTED }
        const send: Send = (options) => by.upload(file, { ...own, ...options })
        return { upload, client: by, send, controller: undefined }
      })
      for (const item of added) items.set(item.upload.id, item)
      run()
      store.changed()
      return added.map(({ upload }) => upload)
    },
    pause: (id) => forEach(id, ['waiting', 'uploading'], (item) => stop(item, 'paused')),
    resume: (id) => forEach(id, ['paused'], again),
    cancel: (id) => forEach(id, UNFINISHED, (item) => stop(item, 'canceled')),
    retry: (id) => forEach(id, id === undefined ? ['failed'] : ['failed', 'canceled'], again),
    remove: (id) =>
      forEach(id, id === undefined ? OVER : [...OVER, ...UNFINISHED], (item) => {
        if (item.upload.status !== 'done') stop(item, 'canceled')
        items.delete(item.upload.id)
      }),
  }
}

function change(item: Item, changes: Partial<Upload>): void {
  item.upload = { ...item.upload, ...changes }
}

/** Makes a failed, canceled or paused upload wait for its turn. */
const again = (item: Item): void => change(item, { status: 'waiting', error: undefined })

/** Stops an upload. If it is canceled, the bucket keeps nothing of it. */
function stop(item: Item, status: 'paused' | 'canceled'): void {
  const { upload, controller, send } = item
  change(item, { status, stalled: undefined })
  if (upload.status === 'uploading') controller?.abort(status === 'paused' ? 'pause' : undefined)
  else if (controller && status === 'canceled' && upload.status !== 'canceled') {
    // The client deletes the parts of an upload that is canceled after it began.
    const again = new AbortController()
    send({ signal: again.signal }).catch(() => undefined)
    again.abort()
  }
}

/** Calls a function of the app. Its errors don't stop the queue. */
function tell(act: () => void): void {
  try {
    act()
  } catch (error) {
    reportError(error)
  }
}

const UNSTARTED = {
  status: 'waiting',
  loaded: 0,
  progress: 0,
  stalled: undefined,
  error: undefined,
  record: undefined,
} as const
const OVER: readonly UploadStatus[] = ['done', 'failed', 'canceled']
const UNFINISHED: readonly UploadStatus[] = ['waiting', 'uploading', 'paused']

function stateOf(uploads: readonly Upload[]): UploadsState {
  const counted = uploads.filter(({ status }) => status !== 'canceled')
  const sumOf = (name: 'loaded' | 'total') => counted.reduce((sum, each) => sum + each[name], 0)
  const has = (wanted: UploadStatus) => counted.some(({ status }) => status === wanted)
  const status = has('waiting')
    ? 'uploading'
    : ((['uploading', 'paused', 'failed'] as const).find(has) ??
      (counted.length > 0 ? 'done' : 'idle'))
  const [loaded, total] = [sumOf('loaded'), sumOf('total')]
  return {
    uploads,
    loaded,
    total,
    progress: total ? loaded / total : Number(status === 'done'),
    status,
  }
}
