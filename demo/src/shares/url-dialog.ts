import { copyField } from '../copy-text.ts'
import { find } from '../find.ts'

/** Shows a new address, with a button that copies it. */
export function showUrl(title: string, text: string, url: string): void {
  const dialog = find(document, '#url-dialog', HTMLDialogElement)
  const field = find(dialog, 'input', HTMLInputElement)
  const status = find(dialog, '[role=status]', HTMLParagraphElement)
  find(dialog, 'h2', HTMLHeadingElement).textContent = title
  find(dialog, '#url-text', HTMLParagraphElement).textContent = text
  field.value = url
  status.textContent = ''
  find(dialog, 'button[type=button]', HTMLButtonElement).onclick = async () => {
    status.textContent = await copyField(field)
  }
  dialog.onclose = () => {
    field.value = ''
  }
  dialog.showModal()
}
