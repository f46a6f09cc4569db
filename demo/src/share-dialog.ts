import type { FileRecord, Link, LinkOptions } from '../../client/src/index.ts'
import type { Reasons } from './error-text.ts'
import { find } from './find.ts'
import { askByForm } from './form-dialog.ts'
import { LIFETIMES, windowFor } from './link-lifetime.ts'

const REASONS: Reasons = {
  forbidden: 'For such a link, your token also needs files:read.',
  invalid_expiry: 'This link would end too late, or in the past.',
}

/**
 * Asks what a link should allow, and copies it with `copy`, during the click. If the user wants a
 * limited link, calls `onOther` instead. Resolves when the link is copied or the user cancels.
 * Rejects with errors that the dialog can't show.
 */
export function askForLink(
  record: FileRecord,
  create: (options: LinkOptions) => Promise<Link>,
  copy: (made: Promise<Link>) => Promise<void>,
  onOther: () => void,
): Promise<void> {
  const dialog = find(document, '#share-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const lifetime = find(form, '#share-lifetime', HTMLSelectElement)
  const start = find(form, '#share-start', HTMLInputElement)
  const countries = find(form, '#share-countries', HTMLInputElement)
  const saves = find(form, '#share-saves', HTMLInputElement)
  const name = find(form, '#share-name', HTMLInputElement)

  function options(): LinkOptions {
    const seconds = Number(lifetime.value)
    const codes = countries.value
      .toUpperCase()
      .split(/[\s,;]+/)
      .filter(Boolean)
    return {
      expiresIn: start.value === '' ? windowFor(seconds, new Date()) : seconds,
      notBefore: start.value === '' ? undefined : new Date(start.value).toISOString(),
      countries: codes.length === 0 ? undefined : codes,
      download: saves.checked ? name.value.trim() || record.name : undefined,
    }
  }

  const showName = () => {
    name.disabled = !saves.checked
  }

  saves.onchange = showName
  find(dialog, '#share-counts', HTMLButtonElement).onclick = () => {
    dialog.close()
    onOther()
  }
  form.reset()
  lifetime.replaceChildren(
    ...LIFETIMES.map(([words, seconds]) => new Option(words, String(seconds))),
  )
  name.value = record.name
  showName()
  return askByForm({
    dialog,
    save: () => copy(create(options())),
    first: lifetime,
    reasons: REASONS,
    fields: { notBefore: start, countries, download: name },
  })
}
