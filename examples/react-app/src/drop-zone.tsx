import { useUpload } from 'edge-presigner-client/react'
import { type ChangeEvent, type DragEvent, useState } from 'react'
import { UploadRow } from './upload-row'

/** A drop zone and its uploads, also for the keyboard and for screen readers. */
export function DropZone({ accept }: { accept?: string | undefined }) {
  const { uploads, progress, status, add, ...actions } = useUpload()
  const [isOver, setIsOver] = useState(false)
  const count = (wanted: string) => uploads.filter((each) => each.status === wanted).length
  const sent = status === 'uploading' ? `, ${Math.floor(progress * 4) * 25}% sent` : ''
  const failed = count('failed') > 0 ? `, ${count('failed')} failed` : ''
  const message = `${count('done')} of ${uploads.length} files uploaded${sent}${failed}.`
  const over = isOver ? 'drop-zone over' : 'drop-zone'

  function onDrag(event: DragEvent) {
    event.preventDefault()
    setIsOver(event.type === 'dragover')
    if (event.type === 'drop') add(event.dataTransfer.files)
  }
  function onChange({ currentTarget }: ChangeEvent<HTMLInputElement>) {
    add(currentTarget.files)
    currentTarget.value = '' // so that the same file can be chosen again
  }

  return (
    <>
      <label className={over} onDragOver={onDrag} onDragLeave={onDrag} onDrop={onDrag}>
        Drop files here, or choose them
        <input type="file" multiple accept={accept} onChange={onChange} />
      </label>
      <ul aria-label="Uploads" className="uploads">
        {uploads.map((upload) => (
          <UploadRow key={upload.id} upload={upload} {...actions} />
        ))}
      </ul>
      <p role="status">{uploads.length > 0 && message}</p>
    </>
  )
}
