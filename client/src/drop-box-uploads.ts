import { createHandle } from './handle.ts'
import { asError } from './presigner-error.ts'
import type { Session } from './session.ts'
// Not from their own files: the build would create another script for these.
import { type DropBoxTerms, type DropBoxVisitor, type OpenDropBox, openDropBox } from './sharing.ts'
import { createStore, type Store } from './store.ts'
import {
  createUploadQueue,
  type UploadActions,
  type Uploader,
  type UploadQueueOptions,
  type UploadsState,
} from './upload-queue.ts'

/** How long the other files fail too after one could not open the box. */
const RETRY_MILLISECONDS = 1000

export type DropBoxUploadsOptions = UploadQueueOptions & DropBoxVisitor

export interface DropBoxState extends UploadsState {
  /** What the box asks for and allows, after it was opened. `left` counts this page's uploads. */
  readonly box: DropBoxTerms | undefined
  /**
   * `opening`, then `open`. `password` if the password is missing or wrong. `closed` for good.
   * `failed` if it can't be opened at the moment.
   */
  readonly access: 'opening' | 'open' | 'password' | 'closed' | 'failed'
  /** Why the box is not open. Undefined while nobody has given a password. */
  readonly accessError: Error | undefined
}

export interface DropBoxActions extends UploadActions {
  /**
   * Opens the box again: with a password, as a sender with a name and a note, or after a failure.
   * Missing members stay as they were. Resolves with whether the box is open.
   */
  open(visitor?: DropBoxVisitor): Promise<boolean>
}

export interface DropBoxUploads extends Store<DropBoxState>, DropBoxActions {
  /** Sets the options of all uploads that start from now on. */
  configure(options: UploadQueueOptions): void
}

/** Returns uploads to the box at `url`, which opens when somebody subscribes. */
export function createDropBoxUploads(
  url: string,
  { password, sender, ...options }: DropBoxUploadsOptions,
): DropBoxUploads {
  let visitor: DropBoxVisitor = { password, sender }
  let access: DropBoxState['access'] = 'opening'
  let accessError: Error | undefined
  let box: DropBoxTerms | undefined
  /**
   * The latest try. The results of earlier ones are ignored. A refusal stays until the next `open`.
   * Another failure stays for a moment, so that many files don't each ask again.
   */
  let opening: Promise<OpenDropBox> | undefined
  let isWatching = false
  /** Whoever knows the URL uses a box, so that nobody logs out. */
  const session: Session = { user: undefined, signal: new AbortController().signal }

  const uploader: Uploader = {
    start(file, more) {
      const kept = {}
      return createHandle(async (signal) => {
        const { client } = await (opening ?? reopen())
        return client.upload(file, { ...more, signal }, kept)
      })
    },
    session: () => session,
  }
  const queue = createUploadQueue(uploader, withBox(options))
  const store = createStore<DropBoxState>(() => ({
    ...queue.getSnapshot(),
    box,
    access,
    accessError,
  }))

  /** Returns options that also keep the state of the box. */
  function withBox({ onUploaded, onError, ...others }: UploadQueueOptions): UploadQueueOptions {
    return {
      ...others,
      onUploaded(record, upload) {
        if (box) {
          const { files, bytes } = box.left
          const left = { files: Math.max(0, files - 1), bytes: Math.max(0, bytes - record.size) }
          box = { ...box, left }
        }
        onUploaded?.(record, upload)
      },
      onError(error, upload) {
        if (codeOf(error) === 'drop_box_closed') close(error)
        onError?.(error, upload)
      },
    }
  }

  function close(error: Error): void {
    access = accessOf(error)
    accessError = access === 'password' && visitor.password === undefined ? undefined : error
    // A file that is added now must not try a wrong password again.
    if (access === 'password') visitor = { ...visitor, password: undefined }
    store.changed()
  }

  function reopen(): Promise<OpenDropBox> {
    const promise = openDropBox(url, visitor)
    opening = promise
    access = 'opening'
    accessError = undefined
    store.changed()
    promise.then(
      (result) => {
        if (opening !== promise) return
        const { client: _, ...terms } = result
        box = terms
        access = 'open'
        store.changed()
      },
      (thrown) => {
        if (opening !== promise) return
        close(asError(thrown))
        const forget = () => {
          if (opening === promise) opening = undefined
        }
        if (access === 'failed') setTimeout(forget, RETRY_MILLISECONDS)
      },
    )
    return promise
  }

  return {
    ...queue,
    ...store,
    subscribe(listener) {
      const unsubscribe = store.subscribe(listener)
      if (!isWatching) {
        isWatching = true
        // For as long as the queue, whose uploads continue after the component has unmounted.
        queue.subscribe(store.changed)
        // Not again when React mounts a component twice, as in StrictMode.
        if (!opening) reopen().catch(() => undefined)
      }
      return unsubscribe
    },
    configure: (newOptions) => queue.configure(uploader, withBox(newOptions)),
    open(more) {
      visitor = { ...visitor, ...more }
      return reopen().then(
        () => true,
        () => false,
      )
    },
  }
}

const codeOf = (error: Error): unknown => ('code' in error ? error.code : undefined)

function accessOf(error: Error): DropBoxState['access'] {
  const code = codeOf(error)
  return code === 'password_wrong' ? 'password' : code === 'drop_box_closed' ? 'closed' : 'failed'
}
