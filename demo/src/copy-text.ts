import { find } from './find.ts'

/**
 * Copies a text that is still on its way: a browser only allows it at the click. Where it refuses,
 * a dialog shows the text, selected. Resolves with whether it was copied; rejects where `text`
 * does.
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

function showText(text: string): void {
  const dialog = find(document, '#link-dialog', HTMLDialogElement)
  const field = find(dialog, 'input', HTMLInputElement)
  const done = find(dialog, 'button', HTMLButtonElement)
  field.value = text
  done.onclick = () => dialog.close()
  dialog.showModal()
  field.select()
}
