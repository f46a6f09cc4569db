import type { Client } from '../src/index.ts'
import {
  PresignerProvider,
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
export function App({ client, ...props }: AppProps) {
  return (
    <PresignerProvider client={typeof client === 'function' ? client() : client}>
      <Shown {...props} />
    </PresignerProvider>
  )
}

function Shown({ uploadOptions, filesOptions, onRender }: Omit<AppProps, 'client'>) {
  const uploads = useUpload(uploadOptions)
  const files = useFiles(filesOptions)
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
