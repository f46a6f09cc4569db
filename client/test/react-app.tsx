import type { Client } from '../src/index.ts'
import {
  type UseFilesOptions,
  type UseFilesResult,
  type UseUploadOptions,
  type UseUploadResult,
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
