import { find } from './find.ts'

/**
 * Copies a text that is still loading: a browser allows copying only during the click. If the
 * browser refuses, a dialog shows the text, selected. Resolves with whether it was copied. Rejects
 * if `text` rejects.
 */
export async function copyText(text: Promise<string>): Promise<boolean> {
  try {
    const blob = text.then((settled) => new Blob([settled], { type: 'text/plain' }))
    await navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })])
    return true
  } catch {
    showText(await text)
    return false
  }
}

/** Copies the text of a field, or selects it if the browser refuses. Resolves with what to say. */
export async function copyField(field: HTMLInputElement | HTMLTextAreaElement): Promise<string> {
  try {
    await navigator.clipboard.writeText(field.value)
    return 'Copied.'
  } catch {
    field.select()
    return 'Your browser did not let this page copy the text. It is selected.'
  }
}

function showText(text: string): void {
  const dialog = find(document, '#link-dialog', HTMLDialogElement)
  const field = find(dialog, 'input', HTMLInputElement)
  const done = find(dialog, 'button', HTMLButtonElement)
  field.value = text
  done.onclick = () => dialog.close()
  dialog.showModal()
  field.select()
}
