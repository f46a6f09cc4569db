import type { RecordedFile } from './answers/files.ts'
import type { Client } from './client.ts'
import { announce } from './file-changes.ts'
import type { UploadHandle } from './handle.ts'
import { asError, type PresignerError } from './presigner-error.ts'
import type { Progress } from './progress.ts'
import type { FileOptions } from './requests.ts'
import type { Session } from './session.ts'
import { createStore, type Store } from './store.ts'

/** The part of a client that a queue needs. */
export type Uploader<Data = unknown> = Pick<Client<Data>, 'start' | 'session'>

export interface UploadQueueOptions<Data = unknown> {
  /** Options of `client.upload()` for all files, or a function that returns them for a file. */
  readonly fileOptions?: FileOptions | ((file: File | Blob) => FileOptions) | undefined
  /** Called with the record of each uploaded file, even after the component has unmounted. */
  readonly onUploaded?: ((record: RecordedFile<Data>, upload: Upload<Data>) => void) | undefined
  /** Called when an upload fails, even after the component has unmounted. */
  readonly onError?: ((error: Error, upload: Upload<Data>) => void) | undefined
}

export type UploadStatus = 'waiting' | 'uploading' | 'paused' | 'done' | 'failed' | 'canceled'

/** One file of the list. A new object after each change. */
export interface Upload<Data = unknown> {
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
  readonly record: RecordedFile<Data> | undefined
}

/** All uploads of a list. Canceled ones don't count for the progress and the status. */
export interface UploadsState<Data = unknown> {
  /** In the order in which they were added. */
  readonly uploads: readonly Upload<Data>[]
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
export interface UploadActions<Data = unknown> {
  /** Adds files to the list and uploads them. `options` take precedence over `fileOptions`. */
  add(
    files: Iterable<File | Blob> | ArrayLike<File | Blob> | null | undefined,
    options?: FileOptions,
  ): readonly Upload<Data>[]
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
   * Takes an upload off the list, and cancels it if it is not over. Without an id: all that are over.
   * An uploaded file stays in the bucket.
   */
  dismiss(id?: number): void
}

export interface UploadQueue<Data = unknown>
  extends Store<UploadsState<Data>>,
    UploadActions<Data> {
  /** Sets the client and the options of all uploads that start from now on. */
  configure(client: Uploader<Data>, options: UploadQueueOptions<Data>): void
}

interface Item<Data> {
  upload: Upload<Data>
  /** With these options, from when the file was added. */
  readonly by: Uploader<Data>
  readonly options: FileOptions
  /** The latest try, and for whom. */
  handle?: UploadHandle<RecordedFile<Data>>
  session?: Session
}

let lastId = 0

/** Returns an empty list of uploads. The list of each user is empty at the end of their session. */
export function createUploadQueue<Data>(
  client: Uploader<Data>,
  options: UploadQueueOptions<Data>,
): UploadQueue<Data> {
  const items = new Map<number, Item<Data>>()
  const watched = new WeakSet<Session>()
  const store = createStore(() => stateOf(Array.from(items.values(), ({ upload }) => upload)))

  /** Takes uploads off the list, and keeps their parts. */
  function forget(isOver: (session: Session | undefined) => boolean): void {
    for (const [id, { session, handle }] of items)
      if (isOver(session)) {
        handle?.pause()
        items.delete(id)
        store.changed('soon')
      }
  }

  function begin(item: Item<Data>): void {
    const { by, options: own, upload } = item
    const { id, file, total } = upload
    const onProgress = ({ loaded, stalled }: Progress) => {
      const { status } = item.upload
      if (!ACTIVE.includes(status)) return
      const progress = loaded / (total || 1)
      change(item, { status: loaded > 0 ? 'uploading' : status, loaded, progress, stalled })
      store.changed('soon')
    }
    const handle = by.start(file, { ...own, onProgress })
    const session = by.session()
    Object.assign(item, { handle, session })
    if (!watched.has(session))
      session.signal.addEventListener('abort', () => forget((other) => other === session))
    watched.add(session)
    change(item, { status: 'waiting', error: undefined })
    handle.done
      .then(
        (record) => {
          announce(session, record.key, record)
          const done = { status: 'done', loaded: total, progress: 1, stalled: undefined } as const
          change(item, { ...done, record })
          tell(() => options.onUploaded?.(record, item.upload))
        },
        (thrown) => {
          const isCurrent = items.get(id) === item && item.handle === handle
          if (!isCurrent || item.upload.status === 'canceled') return
          const error = asError(thrown)
          change(item, { status: 'failed', stalled: undefined, error })
          tell(() => options.onError?.(error, item.upload))
        },
      )
      .then(() => store.changed('soon'))
  }

  /** Calls `act` for one upload, or for all, if its status is one of `statuses`. */
  function forEach(
    id: number | undefined,
    statuses: readonly UploadStatus[],
    act: (item: Item<Data>) => void,
  ): void {
    const found = [...items.values()].filter(
      ({ upload }) => (id ?? upload.id) === upload.id && statuses.includes(upload.status),
    )
    if (found.length === 0) return
    found.forEach(act)
    store.changed()
  }

  return {
    ...store,
    configure(newClient, newOptions) {
      const { user } = newClient.session()
      if (newClient !== client) forget((session) => session?.user !== user)
      client = newClient
      options = newOptions
    },
    add(files, more) {
      const { fileOptions } = options
      const added = Array.from(files ?? [], (file): Item<Data> => {
        const forAll = typeof fileOptions === 'function' ? fileOptions(file) : fileOptions
        const own: FileOptions = Object.assign({}, forAll, more)
        const name = own.fileName ?? ('name' in file ? file.name : 'file')
        const upload = { id: ++lastId, file, name, total: file.size, ...UNSTARTED }
        return { upload, by: client, options: own }
      })
      for (const item of added) {
        items.set(item.upload.id, item)
        begin(item)
      }
      store.changed()
      return added.map(({ upload }) => upload)
    },
    pause: (id) => forEach(id, ACTIVE, (item) => act(item, 'pause', 'paused')),
    resume: (id) => forEach(id, ['paused'], (item) => act(item, 'resume', 'waiting')),
    cancel: (id) => forEach(id, [...ACTIVE, 'paused'], (item) => act(item, 'cancel', 'canceled')),
    retry: (id) =>
      forEach(id, id === undefined ? ['failed'] : ['failed', 'canceled'], (item) => {
        // Otherwise, it belongs to somebody else, and is about to disappear.
        if (item.by.session() === item.session) begin(item)
      }),
    dismiss: (id) =>
      forEach(id, id === undefined ? OVER : [...OVER, ...ACTIVE, 'paused'], (item) => {
        items.delete(item.upload.id)
        item.handle?.cancel()
      }),
  }
}

function change<Data>(item: Item<Data>, changes: Partial<Upload<Data>>): void {
  item.upload = { ...item.upload, ...changes }
}

function act<Data>(
  item: Item<Data>,
  action: 'pause' | 'resume' | 'cancel',
  status: UploadStatus,
): void {
  change(item, { status, stalled: undefined })
  item.handle?.[action]()
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
const ACTIVE: readonly UploadStatus[] = ['waiting', 'uploading']

function stateOf<Data>(uploads: readonly Upload<Data>[]): UploadsState<Data> {
  const counted = uploads.filter(({ status }) => status !== 'canceled')
  const sumOf = (name: 'loaded' | 'total') => counted.reduce((sum, each) => sum + each[name], 0)
  const has = (wanted: UploadStatus) => counted.some(({ status }) => status === wanted)
  const status = has('waiting')
    ? 'uploading'
    : ((['uploading', 'paused', 'failed'] as const).find(has) ??
      (counted.length > 0 ? 'done' : 'idle'))
  const [loaded, total] = [sumOf('loaded'), sumOf('total')]
  const progress = total ? loaded / total : Number(status === 'done')
  return { uploads, loaded, total, progress, status }
}
