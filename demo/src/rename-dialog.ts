import type { FileRecord } from '../../client/src/index.ts'
import type { Reasons } from './error-text.ts'
import { splitName } from './file-name.ts'
import { find } from './find.ts'
import { askByForm } from './form-dialog.ts'

const REASONS: Reasons = {
  forbidden: 'This file has another owner. To rename it, your token needs files:delete.',
  object_not_found: 'This file was deleted. Reload the page.',
  file_replaced: 'Somebody has replaced this file. Reload the page to see the new one.',
}

/**
 * Asks for a new name, and saves it. Resolves with the new record, or with undefined if the user
 * cancels or keeps the name. Rejects with errors that the dialog can't show.
 */
export function askForName(
  record: FileRecord,
  save: (name: string) => Promise<FileRecord>,
): Promise<FileRecord | undefined> {
  const dialog = find(document, '#rename-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const field = find(form, 'input', HTMLInputElement)

  async function submit(): Promise<FileRecord> {
    const name = field.value.trim()
    if (name === record.name) return record
    try {
      return await save(name)
    } catch (error) {
      field.focus()
      throw error
    }
  }

  field.value = record.name
  const answer = askByForm({ dialog, save: submit, first: field, reasons: REASONS })
  field.setSelectionRange(0, splitName(record.name)[0].length)
  return answer.then((renamed) => (renamed === record ? undefined : renamed))
}
