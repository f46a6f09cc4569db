import {
  type FileRecord,
  type Link,
  type LinkOptions,
  PresignerError,
} from '../../client/src/index.ts'
import { errorText, type Reasons, wantsCredentials } from './error-text.ts'
import { find } from './find.ts'
import { LIFETIMES, windowFor } from './link-lifetime.ts'

const REASONS: Reasons = {
  forbidden: 'For such a link, your token also needs files:read.',
  invalid_expiry: 'This link would end too late, or in the past.',
}

/** The fields by the members of the API that they fill. */
const LABELS: Readonly<Record<string, string>> = {
  notBefore: 'Works from',
  countries: 'Only in these countries',
  download: 'Save as',
}

/**
 * Asks what a link should allow, and copies it by `copy`, during the click. An error stays in the
 * dialog. Resolves when the link is copied or the user cancels. Rejects with errors that the dialog
 * can't show: the Worker wants other credentials, or the user has closed the dialog.
 */
export function askForLink(
  record: FileRecord,
  create: (options: LinkOptions) => Promise<Link>,
  copy: (made: Promise<Link>) => Promise<void>,
): Promise<void> {
  const dialog = find(document, '#share-dialog', HTMLDialogElement)
  const form = find(dialog, 'form', HTMLFormElement)
  const lifetime = find(form, '#share-lifetime', HTMLSelectElement)
  const start = find(form, '#share-start', HTMLInputElement)
  const countries = find(form, '#share-countries', HTMLInputElement)
  const saves = find(form, '#share-saves', HTMLInputElement)
  const name = find(form, '#share-name', HTMLInputElement)
  const errorBox = find(form, '[role=alert]', HTMLDivElement)
  const closed = new AbortController()
  const { signal } = closed
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let isCopying = false

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

  async function submit(): Promise<void> {
    if (isCopying) return
    isCopying = true
    errorBox.replaceChildren()
    form.setAttribute('aria-busy', 'true')
    try {
      await copy(create(options()))
      resolve()
      close()
    } catch (error) {
      if (signal.aborted) return reject(error)
      if (wantsCredentials(error)) {
        close()
        return reject(error)
      }
      errorBox.replaceChildren(...errorText(error, '', { ...REASONS, ...issueIn(error) }))
    } finally {
      isCopying = false
      if (!signal.aborted) form.removeAttribute('aria-busy')
    }
  }

  function close(): void {
    if (!signal.aborted) dialog.close() // it may already ask about another file
  }
  const showName = () => {
    name.disabled = !saves.checked
  }

  form.addEventListener(
    'submit',
    (event) => {
      event.preventDefault()
      void submit()
    },
    { signal },
  )
  saves.addEventListener('change', showName, { signal })
  find(form, 'button[type=button]', HTMLButtonElement).addEventListener('click', close, { signal })
  dialog.addEventListener(
    'close',
    () => {
      closed.abort()
      if (!isCopying) resolve()
    },
    { signal },
  )
  form.reset()
  lifetime.replaceChildren(
    ...LIFETIMES.map(([words, seconds]) => new Option(words, String(seconds))),
  )
  name.value = record.name
  showName()
  errorBox.replaceChildren()
  form.removeAttribute('aria-busy')
  dialog.showModal()
  lifetime.focus()
  return promise
}

/** Returns what is wrong with a field, in place of the text for the whole request. */
function issueIn(error: unknown): Reasons {
  const [issue] = error instanceof PresignerError ? error.issues : []
  if (issue === undefined) return {}
  const label = LABELS[issue.path.split('.')[0] ?? ''] ?? issue.path
  return { invalid_request: `${label}: ${issue.message}.` }
}
