import { errorText } from './error-text.ts'
import { find } from './find.ts'
import type { Notice } from './notice.ts'
import type { KeptText } from './storage.ts'

/** The field for a token or API key. */
export interface AccessPanel {
  /**
   * Opens the panel. If a credential was used, replaces an earlier notice by why the Worker refused
   * it.
   */
  ask(error: unknown): void
  /** Closes the panel after credentials worked. Keeps it open if the user opened it. */
  settle(): void
}

/**
 * Connects the panel to the page. Calls `onToken` when the user submits a token, even an empty one.
 */
export function createAccessPanel(
  token: KeptText,
  notice: Notice,
  onToken: () => void,
): AccessPanel {
  const button = find(document, '#access-button', HTMLButtonElement)
  const panel = find(document, '#access', HTMLElement)
  const form = find(panel, 'form', HTMLFormElement)
  const field = find(panel, 'input', HTMLInputElement)
  const remove = find(panel, '#access-remove', HTMLButtonElement)
  const errorBox = find(panel, '#access-error', HTMLDivElement)
  let isWaiting = false
  const show = (isOpen: boolean) => {
    panel.hidden = !isOpen
    button.setAttribute('aria-expanded', String(isOpen))
  }
  const use = (text: string) => {
    token.set(text)
    field.value = text
    remove.hidden = text === ''
    isWaiting = true
    errorBox.replaceChildren()
    onToken()
  }
  field.value = token.get()
  remove.hidden = field.value === ''
  button.addEventListener('click', () => {
    const isOpening = panel.hidden !== false
    show(isOpening)
    if (isOpening) field.focus()
  })
  panel.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape') return
    show(false)
    button.focus()
  })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    use(field.value.trim())
  })
  remove.addEventListener('click', () => {
    field.focus() // the button disappears
    use('')
  })
  return {
    ask(error) {
      isWaiting = true
      notice.clear()
      show(true)
      errorBox.replaceChildren(...(token.get() === '' ? [] : errorText(error)))
      panel.scrollIntoView({ block: 'nearest' }) // a token may expire while the user is far below
    },
    settle() {
      if (!isWaiting) return
      isWaiting = false
      if (panel.contains(document.activeElement)) button.focus()
      show(false)
      errorBox.replaceChildren()
    },
  }
}
