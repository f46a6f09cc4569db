import type { Client } from '../src/index.ts'
import {
  type UseDropBoxOptions,
  type UseDropBoxResult,
  type UseFilesOptions,
  type UseFilesResult,
  type UseUploadOptions,
  type UseUploadResult,
  useDropBox,
  useFiles,
  useUpload,
} from '../src/react.ts'

export interface AppProps {
  /** A function creates one in each render, as an app should not. */
  readonly client: Client | (() => Client)
  readonly uploadOptions?: UseUploadOptions
  readonly filesOptions?: UseFilesOptions
  /** Called in each render with what the hooks return. */
  readonly onRender?: (uploads: UseUploadResult, files: UseFilesResult) => void
}

/** Shows what the hooks return. */
export function App({ client: given, uploadOptions, filesOptions, onRender }: AppProps) {
  const client = typeof given === 'function' ? given() : given
  const uploads = useUpload(client, uploadOptions)
  const files = useFiles(client, filesOptions)
  onRender?.(uploads, files)
  return (
    <>
      <p>
        {uploads.status}, {files.status}
      </p>
      <ul>
        {files.files.map(({ key, name, link }) => (
          <li key={key}>{link ? <img src={link} alt={name} /> : name}</li>
        ))}
      </ul>
    </>
  )
}

export interface BoxProps {
  readonly url: string
  readonly options?: UseDropBoxOptions
  readonly onRender?: (box: UseDropBoxResult) => void
}

/** Shows a drop box. */
export function Box({ url, options, onRender }: BoxProps) {
  const box = useDropBox(url, options)
  onRender?.(box)
  return (
    <p>
      {box.access} {box.box?.title}
    </p>
  )
}
