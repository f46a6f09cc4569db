import { INSTALL, linesFor } from './app-lines.ts'
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
  const install = find(dialog, '#app-install', HTMLElement)
  const code = find(dialog, '#app-code', HTMLElement)
  const status = find(dialog, '[role=status]', HTMLParagraphElement)
  let isOpenWorker = false

  const show = () => {
    const chosen = find(kinds, ':checked', HTMLInputElement).value
    const kind = chosen === 'react' || chosen === 'curl' ? chosen : 'client'
    fill(install, INSTALL)
    fill(code, linesFor(kind, location.origin, isOpenWorker))
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
  for (const box of [install, code])
    find(box, 'button', HTMLButtonElement).addEventListener('click', async () => {
      status.textContent = await copyField(find(box, 'textarea', HTMLTextAreaElement))
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

function fill(box: HTMLElement, text: string): void {
  const field = find(box, 'textarea', HTMLTextAreaElement)
  field.value = text
  field.rows = text.split('\n').length
}
