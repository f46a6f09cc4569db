'use client'

import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react'
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
export type { FileOptions } from './requests.ts'
export type { DropBoxSender, DropBoxTerms, DropBoxVisitor } from './sharing-calls.ts'
export type {
  Upload,
  UploadActions,
  UploadStatus,
  UploadsState,
} from './upload-queue.ts'

export type UseUploadOptions<Data = unknown> = UploadQueueOptions<Data>
export type UseUploadResult<Data = unknown> = UploadsState<Data> & UploadActions<Data>
export type UseFilesOptions = FilePagesOptions
export type UseFilesResult = FilesState & FileActions
export type UseDropBoxOptions = DropBoxUploadsOptions
export type UseDropBoxResult = DropBoxState & DropBoxActions

const Context = createContext<Client | undefined>(undefined)

export interface PresignerProviderProps {
  readonly client: Client
  readonly children?: ReactNode
}

/**
 * Gives the hooks below it their client. Another client starts other lists, so create it outside of
 * components, or keep it in `useState` or `useMemo`.
 */
export const PresignerProvider = ({ client, children }: PresignerProviderProps): ReactElement =>
  createElement(Context.Provider, { value: client }, children)

/** Returns the client of the nearest `PresignerProvider`. `Data` is that of `createClient`. */
export function usePresigner<Data = unknown>(): Client<Data> {
  const client = useContext(Context)
  if (!client || !returns<Data>(client)) throw new Error('There is no PresignerProvider above.')
  return client
}

/** The app knows what its `onEvent` returns. */
const returns = <Data>(_: Client): _ is Client<Data> => true

/**
 * Uploads files, several at a time. Returns the list of uploads, their progress, and functions that
 * never change. Uploads continue after the component unmounts, until the user's session ends.
 */
export function useUpload<Data = unknown>(
  options: UseUploadOptions<Data> = {},
): UseUploadResult<Data> {
  const client = usePresigner<Data>()
  const [queue] = useState(() => createUploadQueue(client, options))
  useEffect(() => queue.configure(client, options))
  const state = useSyncExternalStore(queue.subscribe, queue.getSnapshot, queue.getServerSnapshot)
  const { add, pause, resume, cancel, retry, dismiss } = queue
  return { ...state, add, pause, resume, cancel, retry, dismiss }
}

/**
 * Lists the user's files, page by page. Files that `useUpload` uploads with the same client appear at
 * once. Other options, and another user, start a new list.
 */
export function useFiles(options: UseFilesOptions = {}): UseFilesResult {
  const client = usePresigner()
  const session = useSyncExternalStore(client.onBegin, client.session, client.session)
  const json = JSON.stringify(options)
  // biome-ignore lint/correctness/useExhaustiveDependencies: each user has a list
  const pages = useMemo(() => createFilePages(client, JSON.parse(json)), [client, session, json])
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
  const { open, add, pause, resume, cancel, retry, dismiss } = uploads
  return { ...state, open, add, pause, resume, cancel, retry, dismiss }
}
