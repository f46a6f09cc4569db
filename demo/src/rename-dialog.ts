import type { FileRecord } from '../../client/src/index.ts'
import { errorText, type Reasons, wantsCredentials } from './error-text.ts'
import { splitName } from './file-name.ts'
import { find } from './find.ts'

const REASONS: Reasons = {
  forbidden: 'This file has another owner. To rename it, your token needs files:delete.',
  object_not_found: 'This file was deleted. Reload the page.',
  file_replaced: 'Somebody has replaced this file. Reload the page to see the new one.',
}

/**
 * Asks for a new name, and saves it. An error stays in the dialog, so that the user can try again.
 * Resolves with the new record, or with undefined if the user cancels. Rejects with errors that the
 * dialog can't show: the Worker wants other credentials, or the user has closed the dialog.
 */
export function askForName(
  record: FileRecord,
  save: (name: string) => Promise<FileRecord>,
): Promise<FileRecord | undefined> {
  const dialog = find(document, '#rename-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const field = find(form, 'input', HTMLInputElement)
  const errorBox = find(form, '[role=alert]', HTMLDivElement)
  const closed = new AbortController()
  const { signal } = closed
  const { promise, resolve, reject } = Promise.withResolvers<FileRecord | undefined>()
  let isSaving = false

  async function submit(): Promise<void> {
    const name = field.value.trim()
    if (isSaving) return
    if (name === record.name) return close()
    isSaving = true
    errorBox.replaceChildren()
    form.setAttribute('aria-busy', 'true')
    try {
      resolve(await save(name))
      close()
    } catch (error) {
      if (signal.aborted) return reject(error)
      if (wantsCredentials(error)) {
        close()
        return reject(error)
      }
      errorBox.replaceChildren(...errorText(error, '', REASONS))
      field.focus()
    } finally {
      isSaving = false
      if (!signal.aborted) form.removeAttribute('aria-busy')
    }
  }

  function close(): void {
    if (!signal.aborted) dialog.close() // it may already ask about another file
  }

  form.addEventListener(
    'submit',
    (event) => {
      event.preventDefault()
      void submit()
    },
    { signal },
  )
  find(form, 'button[type=button]', HTMLButtonElement).addEventListener('click', close, { signal })
  dialog.addEventListener(
    'close',
    () => {
      closed.abort()
      if (!isSaving) resolve(undefined)
    },
    { signal },
  )
  errorBox.replaceChildren()
  form.removeAttribute('aria-busy')
  field.value = record.name
  dialog.showModal()
  field.focus()
  field.setSelectionRange(0, splitName(record.name)[0].length)
  return promise
}
