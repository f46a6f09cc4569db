import { explain, type LinksOptions } from 'edge-presigner-client'
import { Dropzone } from 'edge-presigner-client/dropzone'
import { type ShownFile, useFiles } from 'edge-presigner-client/react'
import { type MouseEvent, useState } from 'react'
import 'edge-presigner-client/dropzone.css'

/** Pictures of 320 and 1280 pixels, without the place of the photo. Any other file as it is. */
const LINKS: LinksOptions = { widths: [320, 1280], fallback: 'original' }

/** A drop zone, and the user's files. A new file appears as soon as it is uploaded. */
export function Files() {
  const list = useFiles({ links: LINKS, limit: 50 })
  const { files, status, error, hasMore, isFetching, loadMore, remove } = list
  const [message, setMessage] = useState('')

  async function removeFile({ key, name }: ShownFile) {
    if (await remove(key)) setMessage(`${name} deleted.`)
  }

  return (
    <>
      <Dropzone />
      {error && <p role="alert">{explain(error)}</p>}
      {status === 'loading' && <p>Loading…</p>}
      {status === 'ready' && files.length === 0 && <p>No files yet.</p>}
      <ul aria-label="Files" className="files">
        {files.map((file) => (
          <FileTile key={file.key} file={file} onRemove={removeFile} />
        ))}
      </ul>
      <p role="status">{message}</p>
      {hasMore && (
        <button type="button" disabled={isFetching} onClick={loadMore}>
          Show more
        </button>
      )}
    </>
  )
}

interface FileTileProps {
  readonly file: ShownFile
  readonly onRemove: (file: ShownFile) => void
}

function FileTile({ file, onRemove }: FileTileProps) {
  const { name, mimetype, link, srcset } = file
  const [isPicture, setIsPicture] = useState(mimetype.startsWith('image/'))
  const hide = () => setIsPicture(false) // the browser can't show it, for example a HEIC
  function onClick({ currentTarget }: MouseEvent<HTMLElement>) {
    // Keeps the place of the keyboard: in the next tile, or at the drop zone.
    const tile = currentTarget.closest('li')
    const other = tile?.nextElementSibling ?? tile?.previousElementSibling
    const target = other?.querySelector('button') ?? document.querySelector('input')
    target?.focus()
    onRemove(file)
  }
  return (
    <li>
      <a href={link}>
        {isPicture && link ? (
          <img srcSet={srcset} sizes="10rem" src={link} alt={name} width={160} onError={hide} />
        ) : (
          name
        )}
      </a>
      {isPicture && <span>{name}</span>}
      <button type="button" aria-label={`Delete ${name}`} onClick={onClick}>
        Delete
      </button>
    </li>
  )
}
