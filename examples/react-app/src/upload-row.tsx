import type { Upload, UploadActions } from 'edge-presigner-client/react'
import type { MouseEvent } from 'react'
import { canRetry, explain } from './explain'

type Actions = Pick<UploadActions, 'pause' | 'resume' | 'retry' | 'dismiss'>

/** One upload, with its buttons. */
export function UploadRow({ upload, ...actions }: { upload: Upload } & Actions) {
  const { id, name, status, progress, stalled, error } = upload
  const isOver = status === 'done' || status === 'failed'
  const reason = error ?? stalled
  // One button in one place, so that it keeps the focus when its text changes.
  const next: readonly [string, () => void] | undefined =
    status === 'waiting' || status === 'uploading'
      ? ['Pause', () => actions.pause(id)]
      : status === 'paused'
        ? ['Resume', () => actions.resume(id)]
        : status === 'failed' && canRetry(error)
          ? ['Try again', () => actions.retry(id)]
          : undefined
  const button = (text: string, onClick: (event: MouseEvent<HTMLElement>) => void) => (
    <button type="button" aria-label={`${text}: ${name}`} onClick={onClick}>
      {text}
    </button>
  )
  function onDismiss(event: MouseEvent<HTMLElement>) {
    focusNextRow(event)
    actions.dismiss(id)
  }
  return (
    <li>
      <span>{name}</span>
      {status === 'done' && <span>Uploaded</span>}
      {!isOver && <progress aria-label={name} value={progress} />}
      {next && button(...next)}
      {button(isOver ? 'Hide' : 'Cancel', onDismiss)}
      {reason && <span role="alert">{explain(reason)}</span>}
    </li>
  )
}

/** Keeps the place of the keyboard when a row disappears: in the next row, or at the file input. */
export function focusNextRow({ currentTarget }: MouseEvent<HTMLElement>) {
  const row = currentTarget.closest('li')
  const other = row?.nextElementSibling ?? row?.previousElementSibling
  const target =
    other?.querySelector<HTMLElement>('button:last-of-type') ??
    document.querySelector<HTMLElement>('input[type=file]')
  target?.focus()
}
