import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import type { Client, FileRecord } from '../../client/src/index.ts'
import {
  recordUploads,
  restartLostUploads,
  retryAfterOutages,
  uppyOptions,
} from '../../client/src/uppy.ts'
import { completeRoles } from './dashboard-roles.ts'
import type { Theme } from './theme.ts'

const MIB = 1024 ** 2
/** Larger files go in parts, which can be paused and resumed. */
const MULTIPART_ABOVE_BYTES = 16 * MIB
const PART_BYTES = 8 * MIB
/** How long Uppy shows a finished upload. */
const DONE_MILLISECONDS = 2500

export interface UploaderOptions {
  readonly client: Client
  readonly target: HTMLElement
  readonly theme: Theme
  /** Called for each file that is in the bucket and in the index. */
  readonly onRecord: (record: FileRecord) => void
  /** Called after each batch without failures. */
  readonly onDone: (files: number) => void
  readonly onError: (error: unknown) => void
  /** Called with each error that uploads wait out, and with `undefined` when they continue. */
  readonly onStall: (error?: Error) => void
}

export interface Uploader {
  setTheme(theme: Theme): void
  /** Uploads these files. */
  add(files: Iterable<File>): void
}

/**
 * Starts Uppy's Dashboard, which sends files directly to the bucket with URLs that the Worker
 * signs.
 */
export function createUploader(options: UploaderOptions): Uploader {
  const { client, onRecord, onDone } = options
  let isStalled = false
  const onStall = (error?: Error) => {
    isStalled = error !== undefined
    options.onStall(error)
  }
  // Uppy also reports an error for a file that is about to be retried.
  const onError = (error: unknown) => {
    if (!isStalled) options.onError(error)
  }
  const uppy = new Uppy({ autoProceed: true })
  uppy.use(Dashboard, {
    target: options.target,
    theme: options.theme,
    inline: true,
    width: '100%',
    height: 250,
    singleFileFullScreen: false,
    disableInformer: true, // the page's notice shows it
    note: 'Files over 16 MB are uploaded in parts.',
    locale: {
      strings: { dashboardTitle: 'Upload', dropPasteFiles: 'Drop files here, or %{browseFiles}' },
    },
  })
  completeRoles(options.target)
  uppy.use(AwsS3, {
    ...uppyOptions(client, { metadata: false, onStall }),
    shouldUseMultipart: ({ size }) => (size ?? 0) > MULTIPART_ABOVE_BYTES,
    getChunkSize: () => PART_BYTES,
  })
  recordUploads(uppy, client, { onRecord })
  restartLostUploads(uppy)
  retryAfterOutages(uppy, { onStall })
  uppy.on('info-visible', () => {
    const info = uppy.getState().info.at(-1)
    if (info?.type === 'error') onError(new Error(info.message))
  })
  uppy.on('upload-error', (_, error) => onError(explained(error)))
  uppy.on('complete', ({ successful = [], failed = [] }) => {
    if (failed.length > 0 || successful.length === 0) return
    onDone(successful.length)
    setTimeout(() => {
      const files = uppy.getFiles()
      if (files.every(({ progress }) => progress.uploadComplete)) uppy.clear()
    }, DONE_MILLISECONDS)
  })
  const dashboard = uppy.getPlugin('Dashboard')
  return {
    setTheme: (theme) => dashboard?.setOptions({ theme }),
    add: (files) => dashboard?.addFiles([...files]),
  }
}

/** Returns an error with a hint, since a browser doesn't tell a page why a request failed. */
function explained(error: object): unknown {
  if (Reflect.get(error, 'code') !== 'NETWORK') return error
  return new Error(
    `No response from the bucket that this page can read. Check its access key, and that its CORS rules allow ${location.origin}.`,
  )
}
