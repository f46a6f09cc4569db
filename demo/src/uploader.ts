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
/** Files above this go in parts, which can be paused and resumed. */
const MULTIPART_ABOVE_BYTES = 16 * MIB
const PART_BYTES = 8 * MIB
/** How long the list of a finished upload stays. */
const DONE_MILLISECONDS = 2500

export interface UploaderOptions {
  readonly client: Client
  readonly target: HTMLElement
  readonly theme: Theme
  /** Hears of each file that is in the bucket and in the index. */
  readonly onRecord: (record: FileRecord) => void
  /** Hears of each batch whose files are all done. */
  readonly onDone: (files: number) => void
  readonly onError: (error: unknown) => void
  /** Called with each error that uploads wait out, and with `undefined` when they continue. */
  readonly onStall: (error?: Error) => void
}

export interface Uploader {
  setTheme(theme: Theme): void
  /** Uploads these, too. */
  add(files: Iterable<File>): void
}

/** Uppy's Dashboard, which sends files straight to the bucket by URLs that the Worker signs. */
export function createUploader(options: UploaderOptions): Uploader {
  const { client, onRecord, onDone } = options
  let isStalled = false
  const onStall = (error?: Error) => {
    isStalled = error !== undefined
    options.onStall(error)
  }
  // Uppy calls failed what is about to be tried again.
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
    disableInformer: true, // the notice of the page says it
    note: 'Above 16 MB a file goes in parts.',
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

/** A browser doesn't tell a page which rule of the bucket kept an answer from it. */
function explained(error: object): unknown {
  if (Reflect.get(error, 'code') !== 'NETWORK') return error
  return new Error(
    `The bucket gave this page no answer. If it is up, its CORS rules may lack ${location.origin}.`,
  )
}
