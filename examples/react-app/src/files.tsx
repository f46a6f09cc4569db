import type { Client } from 'edge-presigner-client'
import { type ShownFile, useFiles } from 'edge-presigner-client/react'
import { DropZone } from './drop-zone'
import { explain } from './explain'
import { useLimits } from './use-limits'

/** A drop zone, and the user's files. A new file appears as soon as it is uploaded. */
export function Files({ client }: { client: Client }) {
  const list = useFiles(client, { links: true, limit: 50 })
  const { accept, hint } = useLimits(client)
  const { files, status, error, hasMore, isFetching, loadMore, remove } = list

  return (
    <>
      <DropZone client={client} accept={accept} />
      {hint && <p>{hint}</p>}
      {error && <p role="alert">{explain(error)}</p>}
      {status === 'loading' && <p>Loading…</p>}
      {status === 'ready' && files.length === 0 && <p>No files yet.</p>}
      <ul aria-label="Files" className="files">
        {files.map((file) => (
          <FileTile key={file.key} file={file} remove={remove} />
        ))}
      </ul>
      {hasMore && (
        <button type="button" disabled={isFetching} onClick={loadMore}>
          Show more
        </button>
      )}
    </>
  )
}

function FileTile({ file, remove }: { file: ShownFile; remove: (key: string) => void }) {
  const { key, name, mimetype, link } = file
  const isImage = mimetype.startsWith('image/')
  return (
    <li>
      <a href={link}>{isImage && link ? <img src={link} alt={name} /> : name}</a>
      {isImage && <span>{name}</span>}
      <button type="button" aria-label={`Delete ${name}`} onClick={() => remove(key)}>
        Delete
      </button>
    </li>
  )
}
