import Uppy, { type Body, type Meta } from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import GoldenRetriever, { type GoldenRetrieverOptions } from '@uppy/golden-retriever'
import type { Client, FileRecord } from '../../client/src/index.ts'
import { type PageFile, uploadByClient } from './client-uploader.ts'
import { completeRoles } from './dashboard-roles.ts'
import type { Permissions } from './permissions.ts'
import { keptText } from './storage.ts'
import type { Theme } from './theme.ts'
import { uploadLastNameFirst } from './upload-order.ts'
import { reserveLastPercent, uploadTitle } from './upload-status.ts'
import { namesInWords, sizeInWords } from './words.ts'

const MIB = 1024 ** 2
/** How long Uppy shows a finished upload. */
const DONE_MILLISECONDS = 2500
/**
 * How much the browser keeps for a reload: a file, and all together. A user must choose larger
 * files again.
 */
const KEPT: GoldenRetrieverOptions['indexedDB'] & { maxFileSize: number; maxTotalSize: number } = {
  maxFileSize: 256 * MIB,
  maxTotalSize: 1024 * MIB,
}

/** The width of the window up to which the panel for uploads has one line: see style.css. */
const NARROW = '(max-width: 60rem)'
const TEXTS = {
  dashboardTitle: 'Upload',
  dropPasteFiles: 'Drop files here, or %{browseFiles}',
  sessionRestored: 'Continue the upload?',
  recoveredAllFiles: 'It stopped when this page closed.',
  recoveredXFiles: {
    0: 'It stopped when this page closed. Choose the marked file again.',
    1: 'It stopped when this page closed. Choose the %{smart_count} marked files again.',
  },
  reSelect: 'Choose it again',
  uploadXFiles: {
    0: 'Continue with %{smart_count} file',
    1: 'Continue with %{smart_count} files',
  },
}
const NARROW_TEXTS = { dropPasteFiles: '%{browseFiles}', browseFiles: 'Choose files' }

export interface UploaderOptions {
  readonly client: Client
  readonly target: HTMLElement
  readonly theme: Theme
  /** Called before a batch starts, with its files in the order of their names. */
  readonly onBatch: (files: readonly PageFile[]) => void
  /** Called with the id of each file that failed or was canceled. */
  readonly onLoss: (id: string) => void
  /** Called for each file that is in the bucket and in the index. */
  readonly onRecord: (record: FileRecord, file: PageFile) => void
  /** Called after each batch without failures. */
  readonly onDone: (files: number) => void
  /** Called with an error, and with which files it stops. */
  readonly onError: (error: unknown, about?: string) => void
  /** Called with each error that uploads wait out, and with `undefined` when they continue. */
  readonly onStall: (error?: Error) => void
}

export interface Uploader {
  setTheme(theme: Theme): void
  /** Uploads these files. */
  add(files: Iterable<File>): void
  /** Accepts only files that these permissions allow. */
  limit(permissions: Permissions): void
  /** Uploads the files again that failed. */
  retry(): void
}

/**
 * Starts Uppy's Dashboard, which sends files directly to the bucket with URLs that the Worker
 * signs. A reload of the tab offers to continue its uploads.
 */
export function createUploader(options: UploaderOptions): Uploader {
  const { client, onBatch, onLoss, onRecord, onDone, onError, onStall } = options
  let hasParts = false
  const uppy = new Uppy<Meta, Body>({ id: tabId(), autoProceed: true })
  const narrow = matchMedia(NARROW)
  const title = () => uploadTitle(uppy.getFiles())
  const texts = () => ({
    ...TEXTS,
    ...(narrow.matches ? NARROW_TEXTS : {}),
    // Getters, since Uppy reads these texts again each time that it shows them.
    uploadingXFiles: {
      get 0() {
        return title()
      },
      get 1() {
        return title()
      },
    },
  })
  uppy.use(Dashboard, {
    target: options.target,
    theme: options.theme,
    inline: true,
    width: '100%',
    height: '100%',
    singleFileFullScreen: false,
    hideProgressDetails: true, // so that the percentage is the only number
    disableInformer: true, // the page's notice shows it
    locale: { strings: texts() },
  })
  completeRoles(options.target)
  uploadByClient(uppy, { client, inParts: () => hasParts, onRecord, onStall })
  try {
    uppy.use(GoldenRetriever, { indexedDB: KEPT })
  } catch {
    // Firefox refuses to open a database while cookies are blocked. Then a reload can't continue uploads.
  }
  uploadLastNameFirst(uppy, onBatch)
  reserveLastPercent(uppy)
  addEventListener('beforeunload', (event) => {
    const { currentUploads, recoveredState } = uppy.getState()
    // The browser asks the user then.
    if (recoveredState === null && Object.keys(currentUploads).length > 0) event.preventDefault()
  })
  uppy.on('restriction-failed', (file, error) => {
    const name = file?.name ?? ''
    // Most of Uppy's messages contain the name.
    onError(error, error.message.includes(name) ? '' : `${namesInWords([name])} was not uploaded.`)
  })
  uppy.on('upload-error', (file, error) => {
    if (file) onLoss(file.id)
    const failed = uppy.getFiles().filter((other) => other.error === error.message)
    const names = failed.length > 0 ? failed.map(({ name }) => name) : [file?.name ?? '']
    onError(error, `${namesInWords(names)} ${names.length === 1 ? 'was' : 'were'} not uploaded.`)
  })
  uppy.on('file-removed', ({ id }) => onLoss(id))
  uppy.on('complete', ({ successful = [], failed = [] }) => {
    if (failed.length > 0 || successful.length === 0) return
    onDone(successful.length)
    setTimeout(() => {
      // A file that could not be recorded, or is about to be, counts as uploaded too.
      if (Object.keys(uppy.getState().currentUploads).length > 0) return
      const isDone = uppy
        .getFiles()
        .every(({ error, progress }) => progress.uploadComplete && !error)
      if (isDone) uppy.clear()
    }, DONE_MILLISECONDS)
  })
  const dashboard = uppy.getPlugin('Dashboard')
  narrow.addEventListener('change', () => dashboard?.setOptions({ locale: { strings: texts() } }))
  return {
    setTheme: (theme) => dashboard?.setOptions({ theme }),
    add: (files) => dashboard?.addFiles([...files]),
    limit({ maxBytes, allowedTypes, multipart }) {
      hasParts = multipart
      const restrictions = {
        maxFileSize: maxBytes,
        allowedFileTypes: allowedTypes === null ? null : [...allowedTypes],
      }
      uppy.setOptions({ restrictions })
      dashboard?.setOptions({ note: noteOf(maxBytes, allowedTypes) })
    },
    retry() {
      const isAsking = uppy.getState().recoveredState !== null
      if (!isAsking && uppy.getFiles().some(({ error }) => error)) uppy.retryAll().catch(onError)
    },
  }
}

/** Returns the id of this tab's uploads, which survives a reload, but not the tab. */
function tabId(): string {
  const kept = keptText(() => sessionStorage, 'uploads')
  if (kept.get() === '') kept.set(crypto.randomUUID())
  return kept.get()
}

const noteOf = (maxBytes: number | null, types: readonly string[] | null): string =>
  [
    maxBytes === null ? '' : `Files of up to ${sizeInWords(maxBytes)}.`,
    types === null ? '' : `Only ${types.join(', ')}.`,
  ]
    .filter(Boolean)
    .join(' ')
