import type { FileRecord } from '../../client/src/index.ts'
import { find } from './find.ts'
import { filesInWords } from './words.ts'

/** A question before something that can't be undone. */
export interface Question {
  readonly title: string
  /** What it is about, followed by `text`, which says what happens. */
  readonly subject: string
  readonly text: string
  /** The words on the button. */
  readonly action: string
}

/** Asks whether to delete these files. Escape means no. */
export function confirmDelete(records: readonly FileRecord[]): Promise<boolean> {
  const [first] = records
  const isOne = records.length === 1 && first !== undefined
  const files = filesInWords(records.length)
  return confirm({
    title: `Delete ${isOne ? 'this file' : files}?`,
    subject: isOne ? first.name : files,
    text: isOne
      ? 'is deleted from the bucket, and links to it stop working.'
      : 'are deleted from the bucket, and links to them stop working.',
    action: 'Delete',
  })
}

/** Resolves with whether the user agrees. Escape means no. */
export function confirm({ title, subject, text, action }: Question): Promise<boolean> {
  const dialog = find(document, '#delete-dialog', HTMLDialogElement)
  find(dialog, 'h2', HTMLHeadingElement).textContent = title
  find(dialog, 'strong', HTMLElement).textContent = subject
  find(dialog, 'span', HTMLSpanElement).textContent = text
  find(dialog, '.danger', HTMLButtonElement).textContent = action
  dialog.returnValue = ''
  dialog.onclick = ({ target }) => {
    if (target instanceof HTMLButtonElement) dialog.close(target.value)
  }
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'delete'), { once: true })
  })
}
