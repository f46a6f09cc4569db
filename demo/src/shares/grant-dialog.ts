import type { FileRecord } from '../../../client/src/index.ts'
import type { Grant, SharingClient } from '../../../client/src/sharing.ts'
import type { Reasons } from '../error-text.ts'
import { find } from '../find.ts'
import { askByForm } from '../form-dialog.ts'
import { momentInWords, nameInText, usesInWords } from '../words.ts'
import { daysAfter, momentIn, setMoment } from './moment-field.ts'
import { showUrl } from './url-dialog.ts'

const DEFAULT_DAYS = 7

const REASONS: Reasons = {
  forbidden: "Your token doesn't allow such a link to this file.",
  invalid_expiry: 'Your token doesn’t allow links that work for so long.',
  object_not_found: 'This file was deleted. Reload the page.',
  not_found: 'This link was revoked. Reload the page.',
}

/** Asks how often and how long a link to this file should work, creates it, and shows it. */
export async function countUses(client: SharingClient, record: FileRecord): Promise<void> {
  const fields = openFields('Create a limited link', record.name, 'Create')
  const now = new Date()
  fields.uses.value = '1'
  setMoment(fields.deadline, daysAfter(now, DEFAULT_DAYS), now)
  const made = await askByForm({
    ...fields.question,
    save: () =>
      client.createGrant(record.key, {
        uses: usesIn(fields.uses) ?? undefined,
        deadline: momentIn(fields.deadline),
        password: fields.password.value || undefined,
        label: fields.label.value.trim() || undefined,
      }),
  })
  if (made === undefined) return
  const until = momentInWords(new Date(made.deadline))
  showUrl(
    'Your link',
    `Link to ${nameInText(made.name)}: ${usesInWords(made.usesLeft, made.uses)}, until ${until}.`,
    made.url,
  )
}

/** Asks for other uses, another label or deadline. Resolves with the changed grant. */
export function changeGrant(client: SharingClient, grant: Grant): Promise<Grant | undefined> {
  const fields = openFields('Change this link', grant.name, 'Change')
  const { uses, deadline, label } = fields
  const used = grant.uses === null ? null : grant.uses - (grant.usesLeft ?? 0)
  fields.secret.hidden = true
  uses.value = String(grant.uses ?? '')
  fields.hint.textContent = used === null ? '' : `Used so far: ${used}.`
  label.value = grant.label ?? ''
  setMoment(deadline, new Date(grant.deadline), new Date())
  const before = { uses: uses.value, deadline: deadline.value, label: label.value }
  return askByForm({
    ...fields.question,
    save: () =>
      client.updateGrant(grant.id, {
        ...(uses.value !== before.uses && { uses: usesIn(uses) }),
        ...(deadline.value !== before.deadline && { deadline: momentIn(deadline) }),
        ...(label.value !== before.label && { label: label.value.trim() || null }),
      }),
  })
}

function openFields(title: string, name: string, action: string) {
  const dialog = find(document, '#grant-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const input = (id: string) => find(form, id, HTMLInputElement)
  const uses = input('#grant-uses')
  const deadline = input('#grant-deadline')
  const password = input('#grant-password')
  const label = input('#grant-label')
  const secret = find(form, '#grant-secret', HTMLDivElement)
  const hint = find(form, '#grant-hint span', HTMLSpanElement)
  form.reset()
  secret.hidden = false
  hint.textContent = ''
  find(dialog, 'h2', HTMLHeadingElement).textContent = title
  find(dialog, 'bdi', HTMLElement).textContent = name
  find(form, '[type=submit]', HTMLButtonElement).textContent = action
  const fields = { uses, deadline, password, label }
  return {
    ...fields,
    secret,
    hint,
    question: { dialog, first: uses, reasons: REASONS, fields },
  }
}

/** Returns the number of uses, or null for any number. */
const usesIn = ({ value }: HTMLInputElement): number | null => (value === '' ? null : Number(value))
