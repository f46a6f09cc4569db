import { find } from './find.ts'

/** Asks whether to delete the file called `name`. Escape means no. */
export function confirmDelete(name: string): Promise<boolean> {
  const dialog = find(document, '#delete-dialog', HTMLDialogElement)
  find(dialog, 'strong', HTMLElement).textContent = name
  dialog.returnValue = ''
  dialog.onclick = ({ target }) => {
    if (target instanceof HTMLButtonElement) dialog.close(target.value)
  }
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'delete'), { once: true })
  })
}
