import type { Client } from 'edge-presigner-client'
import { DropZone } from './drop-zone'
import { type ShownFile, useFiles } from './use-files'
import { type Upload, useUploads } from './use-uploads'

/** A drop zone, the uploads in progress, and the user's files. */
export function Files({ client }: { client: Client }) {
  const { files, error, hasMore, loadMore, add, remove } = useFiles(client)
  const { uploads, add: upload, retry, dismiss } = useUploads(client, add)

  return (
    <>
      <DropZone onFiles={upload} />
      <ul aria-label="Uploads" className="uploads">
        {uploads.map((each) => (
          <UploadRow key={each.id} upload={each} retry={retry} dismiss={dismiss} />
        ))}
      </ul>
      <p role="status">{statusOf(uploads)}</p>
      {error && <p role="alert">{error}</p>}
      {!files && !error && <p>Loading…</p>}
      {files?.length === 0 && <p>No files yet.</p>}
      <ul aria-label="Files" className="files">
        {files?.map((file) => (
          <FileTile key={file.key} file={file} remove={remove} />
        ))}
      </ul>
      {hasMore && (
        <button type="button" onClick={loadMore}>
          Show more
        </button>
      )}
    </>
  )
}

function UploadRow({ upload, retry, dismiss }: { upload: Upload } & UploadActions) {
  const { name } = upload.file
  const isOver = upload.status === 'done' || upload.status === 'failed'
  const dismissText = isOver ? 'Hide' : 'Cancel'
  return (
    <li>
      <span>{name}</span>
      {!isOver && <progress aria-label={name} value={upload.progress} />}
      {upload.status === 'done' && <span>Uploaded</span>}
      {upload.status === 'failed' && (
        <button type="button" aria-label={`Try again: ${name}`} onClick={() => retry(upload)}>
          Try again
        </button>
      )}
      <button type="button" aria-label={`${dismissText} ${name}`} onClick={() => dismiss(upload)}>
        {dismissText}
      </button>
      {upload.error && <span role="alert">{upload.error}</span>}
    </li>
  )
}

interface UploadActions {
  retry: (upload: Upload) => void
  dismiss: (upload: Upload) => void
}

function FileTile({ file, remove }: { file: ShownFile; remove: (key: string) => void }) {
  const isImage = file.mimetype.startsWith('image/')
  return (
    <li>
      <a href={file.link}>{isImage ? <img src={file.link} alt={file.name} /> : file.name}</a>
      {isImage && <span>{file.name}</span>}
      <button type="button" aria-label={`Delete ${file.name}`} onClick={() => remove(file.key)}>
        Delete
      </button>
    </li>
  )
}

/** One sentence for screen readers, instead of one for each percent. */
function statusOf(uploads: readonly Upload[]): string {
  if (uploads.length === 0) return ''
  const count = (wanted: Upload['status']) =>
    uploads.filter(({ status }) => status === wanted).length
  const failed = count('failed')
  return `${count('done')} of ${uploads.length} files uploaded${failed ? `, ${failed} failed` : ''}.`
}
