'use client'

import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import type { Client } from './client.ts'
import {
  createDropBoxUploads,
  type DropBoxActions,
  type DropBoxState,
  type DropBoxUploadsOptions,
} from './drop-box-uploads.ts'
import {
  createFilePages,
  type FileActions,
  type FilePagesOptions,
  type FilesState,
} from './file-pages.ts'
import {
  createUploadQueue,
  type UploadActions,
  type UploadQueueOptions,
  type UploadsState,
} from './upload-queue.ts'

export type { DropBoxActions, DropBoxState } from './drop-box-uploads.ts'
export type { FileActions, FilesState, ShownFile } from './file-pages.ts'
export type { DropBoxSender, DropBoxTerms, DropBoxVisitor } from './sharing-responses.ts'
export type {
  FileOptions,
  Upload,
  UploadActions,
  UploadStatus,
  UploadsState,
} from './upload-queue.ts'

export type UseUploadOptions = UploadQueueOptions
export type UseUploadResult = UploadsState & UploadActions
export type UseFilesOptions = FilePagesOptions
export type UseFilesResult = FilesState & FileActions
export type UseDropBoxOptions = DropBoxUploadsOptions
export type UseDropBoxResult = DropBoxState & DropBoxActions

/**
 * Uploads files with `client`, several at a time. Returns the list of uploads, their progress, and
 * functions that never change. Uploads continue after the component unmounts.
 */
export function useUpload(client: Client, options: UseUploadOptions = {}): UseUploadResult {
  const [queue] = useState(() => createUploadQueue(client, options))
  useEffect(() => queue.configure(client, options))
  const state = useSyncExternalStore(queue.subscribe, queue.getSnapshot, queue.getServerSnapshot)
  const { add, pause, resume, cancel, retry, remove } = queue
  return { ...state, add, pause, resume, cancel, retry, remove }
}

/**
 * Lists the files of `client`, page by page. Files that `useUpload` uploads with the same client
 * appear at once. Another client or other options start a new list, so create the client outside
 * of components, or keep it in `useState` or `useMemo`.
 */
export function useFiles(client: Client, options: UseFilesOptions = {}): UseFilesResult {
  client = useSettled(client)
  const json = JSON.stringify(options)
  const pages = useMemo(() => createFilePages(client, JSON.parse(json)), [client, json])
  const state = useSyncExternalStore(pages.subscribe, pages.getSnapshot, pages.getServerSnapshot)
  const { loadMore, refresh, add, remove } = pages
  return { ...state, loadMore, refresh, add, remove }
}

/**
 * Opens the drop box at the secret `url`, and uploads files to it, several at a time. `password` and
 * `sender` are for the first try; later, call `open`. Another URL starts another list. Uploads
 * continue after the component unmounts.
 */
export function useDropBox(url: string, options: UseDropBoxOptions = {}): UseDropBoxResult {
  // biome-ignore lint/correctness/useExhaustiveDependencies: an effect sets later options
  const uploads = useMemo(() => createDropBoxUploads(url, options), [url])
  useEffect(() => uploads.configure(options))
  const state = useSyncExternalStore(
    uploads.subscribe,
    uploads.getSnapshot,
    uploads.getServerSnapshot,
  )
  const { open, add, pause, resume, cancel, retry, remove } = uploads
  return { ...state, open, add, pause, resume, cancel, retry, remove }
}

/** How many renders in a row may each have another client. */
const MAX_CHANGES = 4

/**
 * Returns `client`. If each render has another one, which would start a list in each, stays with an
 * earlier one and reports it once.
 */
function useSettled(client: Client): Client {
  const [seen] = useState({ client, used: client, changes: 0 })
  seen.changes = seen.client === client ? 0 : seen.changes + 1
  seen.client = client
  if (seen.changes < MAX_CHANGES) seen.used = client
  else if (seen.changes === MAX_CHANGES)
    console.error('useFiles: another client in each render. Create it outside of components.')
  return seen.used
}
