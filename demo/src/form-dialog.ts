import { PresignerError } from '../../client/src/index.ts'
import { errorText, type Reasons, wantsCredentials } from './error-text.ts'
import { find } from './find.ts'

type Field = HTMLInputElement | HTMLTextAreaElement

/** A dialog with a form, in which the user enters something that `save` sends. */
export interface FormQuestion<T> {
  readonly dialog: HTMLDialogElement
  /** Called during the click that submits the form. */
  readonly save: () => Promise<T>
  /** The first field, which gets the focus. */
  readonly first: HTMLElement
  /** What errors mean here, by their codes. */
  readonly reasons?: Reasons
  /** The fields by the members of the API that they fill. */
  readonly fields?: Readonly<Record<string, Field>>
}

/**
 * Opens the dialog until `save` works or the user cancels. An error stays in the dialog, so that the
 * user can try again. Resolves with what was saved, or with undefined if the user cancels. Rejects with
 * errors that the dialog can't show: the Worker wants other credentials, or the user has closed the
 * dialog.
 */
export function askByForm<T>(question: FormQuestion<T>): Promise<T | undefined> {
  const { dialog, save, first, fields = {} } = question
  const form = find(dialog, 'form', HTMLFormElement)
  const errorBox = find(form, '[role=alert]', HTMLDivElement)
  const closed = new AbortController()
  const { signal } = closed
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>()
  let isSaving = false

  async function submit(): Promise<void> {
    if (isSaving) return
    isSaving = true
    errorBox.replaceChildren()
    form.setAttribute('aria-busy', 'true')
    try {
      resolve(await save())
      close()
    } catch (error) {
      if (signal.aborted) return reject(error)
      if (wantsCredentials(error)) {
        close()
        return reject(error)
      }
      const [issue] = error instanceof PresignerError ? error.issues : []
      const field = fields[issue?.path.split('.')[0] ?? '']
      const reasons = issue && {
        invalid_request: `${labelOf(field, issue.path)}: ${issue.message}.`,
      }
      errorBox.replaceChildren(...errorText(error, '', { ...question.reasons, ...reasons }))
      field?.focus()
    } finally {
      isSaving = false
      if (!signal.aborted) form.removeAttribute('aria-busy')
    }
  }

  function close(): void {
    if (!signal.aborted) dialog.close() // it may already ask about something else
  }

  form.addEventListener(
    'submit',
    (event) => {
      event.preventDefault()
      void submit()
    },
    { signal },
  )
  find(form, 'button[type=button]', HTMLButtonElement).addEventListener('click', close, { signal })
  dialog.addEventListener(
    'close',
    () => {
      closed.abort()
      if (!isSaving) resolve(undefined)
    },
    { signal },
  )
  errorBox.replaceChildren()
  form.removeAttribute('aria-busy')
  dialog.showModal()
  first.focus()
  return promise
}

/** Returns the label of a field, without what it says about being optional. */
const labelOf = (field: Field | undefined, path: string): string =>
  field?.labels?.[0]?.textContent?.replace(/\s*\(.*\)$/, '').trim() || path
