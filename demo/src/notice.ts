import { faultText } from './fault.ts'
import { find } from './find.ts'

const SHOWN_MILLISECONDS = 6000

/** One line at the foot of the page, which screen readers read out when they have time. */
export interface Notice {
  /** Says what was done; it goes by itself. */
  say(text: string): void
  /** Says what went wrong; it stays until it is dismissed, or something else is said. */
  fail(error: unknown): void
}

export function createNotice(root: HTMLElement): Notice {
  const region = find(root, '[role=status]', HTMLDivElement)
  const dismiss = find(root, 'button', HTMLButtonElement)
  let timer: ReturnType<typeof setTimeout> | undefined
  const show = (content: readonly (Node | string)[], isFault: boolean) => {
    clearTimeout(timer)
    region.replaceChildren(...content)
    root.classList.toggle('is-fault', isFault)
    root.classList.toggle('is-shown', content.length > 0)
    dismiss.hidden = !isFault
  }
  const clear = () => show([], false)
  dismiss.addEventListener('click', clear)
  return {
    say(text) {
      show([text], false)
      timer = setTimeout(clear, SHOWN_MILLISECONDS)
    },
    fail: (error) => show(faultText(error), true),
  }
}
