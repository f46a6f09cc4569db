import type { SharingClient } from '../../../client/src/sharing.ts'
import { element } from '../element.ts'
import type { Reasons } from '../error-text.ts'
import { find } from '../find.ts'
import { askByForm } from '../form-dialog.ts'
import type { Permissions } from '../permissions.ts'
import { momentInWords } from '../words.ts'
import { daysAfter, momentIn, setMoment } from './moment-field.ts'
import { showUrl } from './url-dialog.ts'

const MEGABYTE = 1e6
const DEFAULT_DAYS = 14
const DEFAULT_FILES = 20
const DEFAULT_BYTES = 100 * MEGABYTE
const DEFAULT_TOTAL_BYTES = 1000 * MEGABYTE
const DEFAULT_FOLDER = 'received/'

/** What senders may be limited to, in words. */
const TYPES: Readonly<Record<string, string>> = {
  'image/*': 'Pictures',
  'video/*': 'Videos',
  'audio/*': 'Audio',
  'application/pdf': 'PDF',
  'text/*': 'Text',
  'application/zip': 'ZIP',
}

const REASONS: Reasons = {
  forbidden: "Your token doesn't allow such a drop box: look at the folder, sizes and types.",
  invalid_key: 'A folder can’t have this name.',
  invalid_expiry: 'This deadline is too late, or in the past.',
}

/** Asks who may send what, creates the drop box, and shows its address. */
export async function askForFiles(client: SharingClient, permissions: Permissions): Promise<void> {
  const { prefix, maxBytes, allowedTypes } = permissions
  const dialog = find(document, '#box-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const input = (id: string) => find(form, id, HTMLInputElement)
  const from = input('#box-from')
  const title = input('#box-name')
  const message = find(form, '#box-message', HTMLTextAreaElement)
  const folder = input('#box-folder')
  const deadline = input('#box-deadline')
  const files = input('#box-files')
  const largest = input('#box-bytes')
  const total = input('#box-total')
  const password = input('#box-password')
  const types = find(form, '.box-types', HTMLFieldSetElement)
  const now = new Date()
  form.reset()
  folder.value = DEFAULT_FOLDER
  find(form, '#box-folder-hint', HTMLParagraphElement).replaceChildren(
    ...(prefix === '' ? ['Files arrive below it.'] : ['Below ', element('bdi', {}, prefix)]),
  )
  setMoment(deadline, daysAfter(now, DEFAULT_DAYS), now)
  files.value = String(DEFAULT_FILES)
  largest.value = String(Math.min(DEFAULT_BYTES, maxBytes ?? DEFAULT_BYTES) / MEGABYTE)
  largest.max = maxBytes === null ? '' : String(maxBytes / MEGABYTE)
  total.value = String(DEFAULT_TOTAL_BYTES / MEGABYTE)
  find(types, 'legend', HTMLLegendElement).textContent =
    allowedTypes === null ? 'Only these types (none: all)' : 'Types'
  const boxes = (allowedTypes ?? Object.keys(TYPES)).map((type) => {
    const checked = allowedTypes !== null
    return element('input', { type: 'checkbox', value: type, defaultChecked: checked })
  })
  types.replaceChildren(
    ...types.querySelectorAll('legend'),
    ...boxes.map((box) => element('label', {}, box, TYPES[box.value] ?? box.value)),
  )
  const chosenTypes = (): string[] | undefined => {
    const chosen = boxes.filter(({ checked }) => checked).map(({ value }) => value)
    return chosen.length > 0 ? chosen : allowedTypes?.slice()
  }
  const made = await askByForm({
    dialog,
    first: from,
    reasons: REASONS,
    fields: {
      ...{ from, title, message, prefix: folder, deadline },
      ...{ maxFiles: files, maxBytes: largest, maxTotalBytes: total, password },
    },
    save: () =>
      client.createDropBox(folderIn(prefix, folder.value), {
        from: from.value.trim(),
        title: title.value.trim(),
        message: message.value.trim() || undefined,
        deadline: momentIn(deadline),
        maxFiles: Number(files.value),
        maxBytes: bytesIn(largest),
        maxTotalBytes: bytesIn(total),
        allowedTypes: chosenTypes(),
        password: password.value || undefined,
      }),
  })
  if (made === undefined) return
  const until = momentInWords(new Date(made.deadline))
  showUrl(
    'Your drop box',
    `Anybody who has this address can send you files until ${until}.`,
    made.url,
  )
}

const bytesIn = ({ value }: HTMLInputElement): number => Math.round(Number(value) * MEGABYTE)

/** Returns the prefix of keys for a folder that a user names, below `own`. */
const folderIn = (own: string, folder: string): string => {
  const name = folder.trim().replace(/^\/+/, '')
  return `${own}${name}${name === '' || name.endsWith('/') ? '' : '/'}`
}
