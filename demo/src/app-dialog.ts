import { linesFor } from './app-lines.ts'
import { copyField } from './copy-text.ts'
import { find } from './find.ts'

/** The dialog with the lines for an app that uses this Worker. */
export interface AppDialog {
  /** Leaves the token out of the lines while the Worker needs none. */
  setOpen(isOpen: boolean): void
}

/** Connects the dialog, and the button that opens it, to the page. */
export function createAppDialog(): AppDialog {
  const dialog = find(document, '#app-dialog', HTMLDialogElement)
  const kinds = find(dialog, 'fieldset', HTMLFieldSetElement)
  const code = find(dialog, '#app-code', HTMLElement)
  const field = find(code, 'textarea', HTMLTextAreaElement)
  const status = find(dialog, '[role=status]', HTMLParagraphElement)
  let isOpenWorker = false

  const show = () => {
    const chosen = find(kinds, ':checked', HTMLInputElement).value
    const kind = chosen === 'react' || chosen === 'curl' ? chosen : 'client'
    const text = linesFor(kind, location.origin, isOpenWorker)
    field.value = text
    field.rows = text.split('\n').length
    status.textContent = ''
    const isShell = kind === 'curl'
    for (const [id, isShown] of [
      ['#app-install', !isShell],
      ['#app-open', isOpenWorker],
      ['#app-page', !isShell],
      ['#app-shell', isShell],
    ] as const)
      find(dialog, id, HTMLElement).hidden = !isShown
  }
  find(code, 'button', HTMLButtonElement).addEventListener('click', async () => {
    status.textContent = await copyField(field)
  })
  kinds.addEventListener('change', show)
  find(document, '#app-button', HTMLButtonElement).addEventListener('click', () => {
    show()
    dialog.showModal()
  })
  return {
    setOpen(isOpen) {
      isOpenWorker = isOpen
      if (dialog.open) show()
    },
  }
}
