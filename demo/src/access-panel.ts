import { faultText } from './fault.ts'
import { find } from './find.ts'
import type { KeptText } from './storage.ts'

/** The field for a token or API key. */
export interface AccessPanel {
  /** Opens it, with what the Worker said to the credential that was used, if there was one. */
  ask(error: unknown): void
  /** Closes it where it has done its work; not where the user has just opened it. */
  settle(): void
}

/** `onToken` is called when the user gives another token, or an empty one. */
export function createAccessPanel(token: KeptText, onToken: () => void): AccessPanel {
  const button = find(document, '#access-button', HTMLButtonElement)
  const panel = find(document, '#access', HTMLElement)
  const form = find(panel, 'form', HTMLFormElement)
  const field = find(panel, 'input', HTMLInputElement)
  const fault = find(panel, '#access-fault', HTMLDivElement)
  let isWaiting = false
  const show = (isOpen: boolean) => {
    panel.hidden = !isOpen
    button.setAttribute('aria-expanded', String(isOpen))
  }
  field.value = token.get()
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
    token.set(field.value.trim())
    isWaiting = true
    fault.replaceChildren()
    onToken()
  })
  return {
    ask(error) {
      isWaiting = true
      show(true)
      fault.replaceChildren(...(token.get() === '' ? [] : faultText(error)))
    },
    settle() {
      if (!isWaiting) return
      isWaiting = false
      if (panel.contains(document.activeElement)) button.focus()
      show(false)
      fault.replaceChildren()
    },
  }
}
