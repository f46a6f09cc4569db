import type { Upload, UploadActions } from 'edge-presigner-client/react'
import { explain } from './explain'

type Actions = Pick<UploadActions, 'pause' | 'resume' | 'retry' | 'remove'>

/** One upload, with its buttons. */
export function UploadRow({ upload, ...actions }: { upload: Upload } & Actions) {
  const { id, name, status, progress, stalled, error } = upload
  const isOver = status === 'done' || status === 'failed'
  const reason = error ?? stalled
  const button = (text: string, act: (id: number) => void) => (
    <button type="button" aria-label={`${text}: ${name}`} onClick={() => act(id)}>
      {text}
    </button>
  )
  return (
    <li>
      <span>{name}</span>
      {status === 'done' && <span>Uploaded</span>}
      {!isOver && <progress aria-label={name} value={progress} />}
      {(status === 'waiting' || status === 'uploading') && button('Pause', actions.pause)}
      {status === 'paused' && button('Resume', actions.resume)}
      {status === 'failed' && button('Try again', actions.retry)}
      {button(isOver ? 'Hide' : 'Cancel', actions.remove)}
      {reason && <span role="alert">{explain(reason)}</span>}
    </li>
  )
}
