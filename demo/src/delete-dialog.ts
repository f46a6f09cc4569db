import type { FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'
import { filesInWords } from './words.ts'

/** Asks whether to delete these files. Escape means no. */
export function confirmDelete(records: readonly FileRecord[]): Promise<boolean> {
  const dialog = find(document, '#delete-dialog', HTMLDialogElement)
  const [first] = records
  const isOne = records.length === 1 && first !== undefined
  const files = filesInWords(records.length)
  find(dialog, 'h2', HTMLHeadingElement).textContent = `Delete ${isOne ? 'this file' : files}?`
  find(dialog, 'strong', HTMLElement).textContent = isOne ? first.name : files
  find(dialog, 'span', HTMLSpanElement).textContent = isOne
    ? 'is deleted from the bucket, and links to it stop working.'
    : 'are deleted from the bucket, and links to them stop working.'
  dialog.returnValue = ''
  dialog.onclick = ({ target }) => {
    if (target instanceof HTMLButtonElement) dialog.close(target.value)
  }
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'delete'), { once: true })
  })
}
