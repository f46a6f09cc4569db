import { errorText } from './error-text.ts'
import { find } from './find.ts'

const SHOWN_MILLISECONDS = 6000

/** One line at the bottom of the page, which screen readers announce without interrupting. */
export interface Notice {
  /** Shows what was done, for a few seconds. */
  say(text: string): void
  /**
   * Shows an error until the user dismisses it or another notice replaces it. `about` says what
   * didn't work.
   */
  fail(error: unknown, about?: string): void
  clear(): void
}

export function createNotice(root: HTMLElement): Notice {
  const region = find(root, '[role=status]', HTMLDivElement)
  const dismiss = find(root, 'button', HTMLButtonElement)
  let timer: ReturnType<typeof setTimeout> | undefined
  const show = (content: readonly (Node | string)[], isError: boolean) => {
    clearTimeout(timer)
    region.replaceChildren(...content)
    root.classList.toggle('is-error', isError)
    root.classList.toggle('is-shown', content.length > 0)
    dismiss.hidden = !isError
  }
  const clear = () => show([], false)
  dismiss.addEventListener('click', clear)
  return {
    say(text) {
      show([text], false)
      timer = setTimeout(clear, SHOWN_MILLISECONDS)
    },
    fail: (error, about) => show(errorText(error, about), true),
    clear,
  }
}
